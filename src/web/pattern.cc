#include "web/pattern.h"

#include <algorithm>

#include "http/syntax.h"

namespace terrace::web {
namespace {

// Rules that lead to each other, at most; a circle ends here.
constexpr int kHopsMax = 8;

constexpr std::unexpected<Error> bad(const char* text) { return fail(Code::kInvalid, "redirect", text); }

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool is_local(std::string_view target) { return target.starts_with('/') && !target.starts_with("//"); }

bool is_url(std::string_view target) {
  return target.starts_with("http://") || target.starts_with("https://");
}

bool stays_in_path(char c) {
  return http::is_letter(c) || http::is_digit(c) || std::string_view("-._~/!$&'()*+,;=:@").contains(c);
}

}  // namespace

bool pattern_fits(std::string_view pattern, std::string_view path) {
  size_t p = 0;
  size_t s = 0;
  size_t star = std::string_view::npos;
  size_t resume = 0;  // where the last `*` would end if it took one byte more
  while (s < path.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = s;
    } else if (p < pattern.size() && pattern[p] == path[s]) {
      ++p;
      ++s;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      s = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

std::string_view first_fitting(const std::vector<topology::Named>& patterns, std::string_view path) {
  for (const topology::Named& pattern : patterns) {
    if (pattern_fits(pattern.name, path)) return pattern.value;
  }
  return {};
}

Result<Redirects> Redirects::create(const std::vector<topology::Named>& rules) {
  Redirects redirects;
  for (const topology::Named& named : rules) {
    Result<Rule> rule = parse(named);
    if (!rule) return std::unexpected(rule.error());
    redirects.rules_.push_back(std::move(*rule));
  }
  return redirects;
}

Result<Redirects::Rule> Redirects::parse(const topology::Named& named) {
  Rule rule;
  const std::string_view from = named.name;
  if (!from.starts_with('/')) return bad("what is redirected must be a path");
  const size_t star = from.find('*');
  rule.star = star != std::string_view::npos;
  rule.before = from.substr(0, star);
  if (rule.star) rule.after = from.substr(star + 1);
  if (rule.after.contains('*')) return bad("one star is enough");

  std::string_view to = http::trim(named.value);
  if (to.size() > 4 && to[3] == ' ' && std::ranges::all_of(to.substr(0, 3), http::is_digit)) {
    rule.status = (to[0] - '0') * 100 + (to[1] - '0') * 10 + (to[2] - '0');
    to = http::trim(to.substr(4));
  }
  if (!is_redirect(rule.status)) return bad("the status must be 301, 302, 303, 307 or 308");
  if (!is_local(to) && !is_url(to)) return bad("the target must be a path or an http URL");
  if (!std::ranges::all_of(to, http::is_target_byte))
    return bad("the target has bytes that need percent form");
  const size_t to_star = rule.star ? to.find('*') : std::string_view::npos;
  rule.to_star = to_star != std::string_view::npos;
  rule.to_before = to.substr(0, to_star);
  if (rule.to_star) rule.to_after = to.substr(to_star + 1);
  // What `*` took must not become a part of the host's name.
  if (rule.to_star && is_url(to) && to.find('/', 8) > to_star)
    return bad("a slash is missing after the host");
  if (rule.matches(to)) return bad("the target would be redirected by the same rule");
  return rule;
}

bool Redirects::Rule::matches(std::string_view path) const {
  if (!star) return path == before;
  return path.size() >= before.size() + after.size() && path.starts_with(before) && path.ends_with(after);
}

std::string Redirects::Rule::target(std::string_view path) const {
  if (!to_star) return to_before;
  path.remove_prefix(before.size());
  path.remove_suffix(after.size());
  std::string taken = encode_path(path);
  // Two slashes that meet would make an empty name, in front even another host.
  if (taken.starts_with('/') && to_before.ends_with('/')) taken.erase(0, 1);
  return to_before + taken + to_after;
}

const Redirects::Rule* Redirects::rule_for(std::string_view path) const {
  for (const Rule& rule : rules_) {
    if (rule.matches(path)) return &rule;
  }
  return nullptr;
}

std::optional<Redirect> Redirects::find(std::string_view path, std::string_view query) const {
  const Rule* rule = rule_for(path);
  if (rule == nullptr) return std::nullopt;
  Redirect redirect{.status = rule->status};
  std::string at(path);
  for (int hop = 0; rule != nullptr && hop < kHopsMax; ++hop) {
    redirect.target = rule->target(at);
    if (!is_local(redirect.target)) break;
    at = redirect.target;
    if (at == path) return std::nullopt;  // a circle: better served than turned for ever
    rule = rule_for(at);
  }
  if (!query.empty() && !redirect.target.contains('?')) redirect.target.append("?").append(query);
  return redirect;
}

std::string encode_path(std::string_view path) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(path.size() + 8);
  for (const char c : path) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '/' && encoded == "/") continue;
    if (stays_in_path(c)) {
      encoded += c;
    } else {
      encoded += '%';
      encoded += kDigits[byte >> 4];
      encoded += kDigits[byte & 15];
    }
  }
  return encoded;
}

}  // namespace terrace::web

#include "web/pattern.h"

#include <algorithm>

#include "http/path_pattern.h"
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

bool is_visible(char c) { return c > 0x20 && c < 0x7f; }

bool stays_in_path(char c) {
  return http::is_letter(c) || http::is_digit(c) || std::string_view("-._~/!$&'()*+,;=:@").contains(c);
}

}  // namespace

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
  rule.pattern = http::decode_pattern(named.name);
  const size_t first = rule.pattern.find('*');
  const bool has_star = first != std::string::npos;
  rule.before = std::min(first, rule.pattern.size());
  if (has_star) rule.after = rule.pattern.size() - rule.pattern.rfind('*') - 1;

  std::string_view target = http::trim(named.value);
  if (target.size() > 4 && target[3] == ' ' && std::ranges::all_of(target.substr(0, 3), http::is_digit)) {
    rule.status = (target[0] - '0') * 100 + (target[1] - '0') * 10 + (target[2] - '0');
    target = http::trim(target.substr(4));
  }
  if (!is_redirect(rule.status)) return bad("the status must be 301, 302, 303, 307 or 308");
  if (!is_local(target) && !is_url(target)) return bad("the target must be a path or an http URL");
  if (!std::ranges::all_of(target, is_visible)) return bad("the target has bytes that need percent form");
  rule.target = target;
  if (has_star) rule.target_star = rule.target.find('*');
  return rule;
}

bool Redirects::Rule::applies(std::string_view path) const {
  if (!http::pattern_fits(pattern, path)) return false;
  if (target_star == std::string::npos) return path != target;
  // "/docs/*" to "/docs/v2/*" would go on for ever.
  return !http::pattern_fits(target, path) || !http::pattern_fits(pattern, fill(path));
}

std::string Redirects::Rule::fill(std::string_view path) const {
  if (target_star == std::string::npos) return target;
  path.remove_prefix(before);
  path.remove_suffix(after);
  std::string taken = encode_path(path);
  const std::string front = target.substr(0, target_star);
  // Two slashes that meet would make an empty name, in front even another host.
  if (taken.starts_with('/') && front.ends_with('/')) taken.erase(0, 1);
  // What `*` took must not become a part of a host's name.
  const bool ends_in_host = is_url(front) && front.find('/', 8) == std::string::npos;
  if (ends_in_host && !taken.starts_with('/')) taken.insert(0, 1, '/');
  return front + taken + target.substr(target_star + 1);
}

const Redirects::Rule* Redirects::rule_for(std::string_view path) const {
  for (const Rule& rule : rules_) {
    if (rule.applies(path)) return &rule;
  }
  return nullptr;
}

std::optional<Redirect> Redirects::find(std::string_view path, std::string_view query) const {
  const Rule* rule = rule_for(path);
  if (rule == nullptr) return std::nullopt;
  Redirect redirect{.status = rule->status};
  std::string at(path);
  for (int hop = 0; rule != nullptr && hop < kHopsMax; ++hop) {
    redirect.target = rule->fill(at);
    if (!is_local(redirect.target)) break;
    at = redirect.target;
    if (at == path) return std::nullopt;  // a circle: better served than turned for ever
    rule = rule_for(at);
  }
  const bool complete = redirect.target.find_first_of("?#") != std::string::npos;
  if (!query.empty() && !complete) redirect.target.append("?").append(query);
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

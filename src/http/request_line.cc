#include "http/request_line.h"

#include <algorithm>

#include "http/syntax.h"
#include "http/url.h"

namespace terrace::http {
namespace {

constexpr size_t kMethodMax = 32;
constexpr std::string_view kVersionExample = "HTTP/1.1";

struct KnownMethod {
  std::string_view name;
  Method method;
};

// The registered methods that sites use. Of the others only their safety would
// matter, and nothing is assumed about it.
constexpr KnownMethod kMethods[] = {
    {"GET", Method::kGet},        {"POST", Method::kPost},       {"HEAD", Method::kHead},
    {"PUT", Method::kPut},        {"DELETE", Method::kDelete},   {"OPTIONS", Method::kOptions},
    {"PATCH", Method::kPatch},    {"CONNECT", Method::kConnect}, {"TRACE", Method::kTrace},
    {"PROPFIND", Method::kOther}, {"PROPPATCH", Method::kOther}, {"MKCOL", Method::kOther},
    {"COPY", Method::kOther},     {"MOVE", Method::kOther},      {"LOCK", Method::kOther},
    {"UNLOCK", Method::kOther},   {"REPORT", Method::kOther},    {"SEARCH", Method::kOther},
    {"PURGE", Method::kOther},    {"LINK", Method::kOther},      {"UNLINK", Method::kOther},
    {"QUERY", Method::kOther},
};

bool parse_version(std::string_view version, RequestHead& head, Refusal& refusal) {
  if (version == "HTTP/1.1" || version == "HTTP/1.0") {
    head.http_1_0 = version.back() == '0';
    return true;
  }
  const bool well_formed = version.size() == kVersionExample.size() && version.starts_with("HTTP/") &&
                           is_digit(version[5]) && version[6] == '.' && is_digit(version[7]);
  if (well_formed) return refusal.because(505, "an HTTP version other than 1.0 and 1.1");
  return refusal.because(400, "the request line does not end in an HTTP version");
}

// The target is in origin form or "*" afterwards (RFC 9112 section 3.2.2).
bool split_absolute_form(RequestHead& head, Refusal& refusal) {
  const size_t colon = head.target.find("://");
  if (colon == std::string_view::npos) return refusal.because(400, "the target does not begin with a slash");
  const std::string_view scheme = head.target.substr(0, colon);
  if (!equals_ignoring_case(scheme, "http") && !equals_ignoring_case(scheme, "https")) {
    return refusal.because(400, "the target's scheme is neither http nor https");
  }
  const std::string_view rest = head.target.substr(colon + 3);
  const size_t end = rest.find_first_of("/?");
  head.authority = rest.substr(0, end);
  if (!valid_authority(head.authority)) return refusal.because(400, "bad authority in the target");
  if (end == std::string_view::npos) {
    head.target = head.method == Method::kOptions ? "*" : "/";
  } else {
    head.target = rest.substr(end);
  }
  // There is no place in the buffer for the slash that is missing.
  if (head.target.front() == '?') return refusal.because(400, "a query without a path");
  return true;
}

void split_query(RequestHead& head) {
  const size_t at = head.target.find('?');
  head.path = head.target.substr(0, at);
  head.query = at == std::string_view::npos ? std::string_view() : head.target.substr(at + 1);
}

bool parse_target(std::string_view target, RequestHead& head, Refusal& refusal) {
  if (target.empty() || !is_target(target)) {
    return refusal.because(400, "a byte in the target that must be encoded");
  }
  head.target = target;
  head.authority = {};
  const bool asterisk = target == "*" && head.method == Method::kOptions;
  if (target.front() != '/' && !asterisk && !split_absolute_form(head, refusal)) return false;
  split_query(head);
  return true;
}

}  // namespace

bool parse_method(std::string_view name, RequestHead& head, Refusal& refusal) {
  head.method_text = name;
  for (const KnownMethod& known : kMethods) {
    if (known.name != name) continue;
    head.method = known.method;
    if (known.method != Method::kConnect && known.method != Method::kTrace) return true;
    return refusal.because(405, "CONNECT and TRACE are off");
  }
  if (name.size() > kMethodMax || !is_token(name)) return refusal.because(400, "the method is not a token");
  return refusal.because(501, "unknown method");
}

bool parse_origin_form(std::string_view target, RequestHead& head, Refusal& refusal) {
  const bool asterisk = target == "*" && head.method == Method::kOptions;
  if (!is_target(target) || (!target.starts_with('/') && !asterisk)) {
    return refusal.because(400, "the target is not a path");
  }
  head.target = target;
  split_query(head);
  return true;
}

bool parse_request_line(std::string_view line, RequestHead& head, Refusal& refusal) {
  const size_t space = line.find(' ');
  if (!parse_method(line.substr(0, space), head, refusal)) return false;
  if (space == std::string_view::npos) return refusal.because(400, "a request line of one word");
  const size_t version = line.rfind(' ');
  if (!parse_version(line.substr(version + 1), head, refusal)) return false;
  if (version == space) return refusal.because(400, "a request line of two words");
  return parse_target(line.substr(space + 1, version - space - 1), head, refusal);
}

bool request_line_length_fits(std::string_view start, size_t target_max, Refusal& refusal) {
  const size_t space = start.substr(0, kMethodMax + 1).find(' ');
  if (space == std::string_view::npos) {
    return start.size() <= kMethodMax || refusal.because(400, "the method is not a token");
  }
  const std::string_view rest = start.substr(space + 1);
  const size_t target = std::min(rest.find(' '), rest.size());
  if (target > target_max) return refusal.because(414, "the target is too long");
  // The last 1 is a carriage return.
  const bool version_fits = rest.size() <= target + 1 + kVersionExample.size() + 1;
  return version_fits || refusal.because(400, "a space in the target");
}

}  // namespace terrace::http

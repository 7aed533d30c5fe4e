#include "http/field_line.h"
#include "http/parser.h"
#include "http/request_line.h"
#include "http/syntax.h"
#include "http/url.h"

namespace terrace::http {

Parsed RequestParser::parse(std::string_view bytes, const HeadLimits& limits, RequestHead& head) {
  while (true) {
    const size_t feed = bytes.find('\n', scan_);
    if (feed == std::string_view::npos) return wait(bytes, limits);
    std::string_view line = bytes.substr(line_, feed - line_);
    if (!has_request_line_ && !may_begin_request(line, limits)) return Parsed::kRefused;
    if (feed >= limits.head_max) return refuse(431, "the head is too large");
    if (!line.ends_with('\r')) return refuse(400, "a line feed without a carriage return");
    line.remove_suffix(1);
    const bool first_line = line_ == 0;
    line_ = scan_ = feed + 1;
    if (line.empty() && has_request_line_) return finish(head) ? Parsed::kDone : Parsed::kRefused;
    // RFC 9112 section 2.2: one empty line before the request line is forgiven.
    if (line.empty() && first_line) continue;
    if (!take_line(line, head)) return Parsed::kRefused;
  }
}

// No line feed in what is there.
Parsed RequestParser::wait(std::string_view bytes, const HeadLimits& limits) {
  scan_ = bytes.size();
  if (!has_request_line_) {
    const std::string_view start = bytes.substr(line_);
    const bool maybe_empty_line = line_ == 0 && start == "\r";
    started_ = !start.empty() && !maybe_empty_line;
    if (started_ && !may_begin_request(start, limits)) return Parsed::kRefused;
  }
  if (bytes.size() >= limits.head_max) return refuse(431, "the head is too large");
  return Parsed::kIncomplete;
}

// Refuses what cannot become a request line any more: another protocol, TLS for
// one, may never send a line feed.
bool RequestParser::may_begin_request(std::string_view start, const HeadLimits& limits) {
  const bool maybe_empty_line = line_ == 0 && start == "\r";
  if (!maybe_empty_line && !is_token_byte(start.empty() ? '\n' : start[0])) {
    return refusal_.because(400, "the request does not begin with a method");
  }
  if (start.size() <= limits.target_max) return true;
  return request_line_length_fits(start, limits.target_max, refusal_);
}

bool RequestParser::take_line(std::string_view line, RequestHead& head) {
  if (has_request_line_) return take_field(line, head);
  started_ = true;
  has_request_line_ = true;
  head.expect_continue = false;
  head.fields.clear();
  return parse_request_line(line, head, refusal_);
}

bool RequestParser::take_field(std::string_view line, RequestHead& head) {
  if (head.fields.size() == Fields::kMax) return refusal_.because(431, "too many fields");
  Field& field = head.fields.append();
  const char* fault = parse_field_line(line, field);
  if (fault != nullptr) return refusal_.because(400, fault);
  if (!note_field(field, head.http_1_0, seen_, refusal_)) return false;
  if (field.id == HeaderId::kHost) return take_host(field.value, head);
  if (field.id == HeaderId::kExpect) return take_expect(field.value, head);
  return true;
}

// RFC 9112 section 3.2. With an absolute-form target the authority is there already.
bool RequestParser::take_host(std::string_view value, RequestHead& head) {
  if (seen_.host) return refusal_.because(400, "two Host fields");
  seen_.host = true;
  if (!valid_authority(value)) return refusal_.because(400, "bad Host");
  if (!head.authority.empty() && !equals_ignoring_case(head.authority, value)) {
    return refusal_.because(400, "Host differs from the target");
  }
  head.authority = value;
  return true;
}

bool RequestParser::take_expect(std::string_view value, RequestHead& head) {
  if (!equals_ignoring_case(value, "100-continue")) return refusal_.because(417, "unknown expectation");
  head.expect_continue = true;
  return true;
}

bool RequestParser::finish(RequestHead& head) {
  if (!seen_.host && !head.http_1_0) return refusal_.because(400, "no Host");
  head.framing = seen_.chunked              ? Framing::kChunked
                 : seen_.has_content_length ? Framing::kLength
                                            : Framing::kNone;
  head.content_length = seen_.content_length;
  head.keep_alive = !seen_.close && (!head.http_1_0 || seen_.keep_alive);
  const bool expects_body = seen_.chunked || seen_.content_length > 0;
  // RFC 9110 section 10.1.1: an expectation on HTTP/1.0 is ignored.
  head.expect_continue = head.expect_continue && expects_body && !head.http_1_0;
  // RFC 9110 section 7.8: so is an upgrade.
  const bool upgrade =
      seen_.upgrade_option && !head.http_1_0 && !head.fields.value(HeaderId::kUpgrade).empty();
  if (upgrade && expects_body) return refusal_.because(400, "an upgrade with a body");
  head.upgrade = upgrade && head.method == Method::kGet;
  if (seen_.names_fields) mark_named_fields(head.fields);
  return true;
}

Parsed RequestParser::refuse(int status, const char* text) {
  refusal_.because(status, text);
  return Parsed::kRefused;
}

}  // namespace terrace::http

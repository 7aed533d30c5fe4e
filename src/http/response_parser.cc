#include <algorithm>

#include "http/field_line.h"
#include "http/parser.h"
#include "http/syntax.h"

namespace terrace::http {
namespace {

constexpr std::string_view kVersion = "HTTP/1.";

// "HTTP/1.1 200 OK" without its CRLF (RFC 9112 section 4). The space before an
// empty reason may be missing, as in what several servers send.
const char* parse_status_line(std::string_view line, ResponseHead& head) {
  if (!line.starts_with(kVersion) || line.size() < 12) return "no status line";
  if ((line[7] != '0' && line[7] != '1') || line[8] != ' ') return "an HTTP version other than 1.0 and 1.1";
  const std::string_view code = line.substr(9, 3);
  if (code[0] < '1' || code[0] > '5' || !is_digit(code[1]) || !is_digit(code[2])) return "bad status code";
  if (line.size() > 12 && line[12] != ' ') return "bad status code";
  head.http_1_0 = line[7] == '0';
  head.status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
  head.reason = line.substr(std::min<size_t>(13, line.size()));
  return is_value(head.reason) ? nullptr : "a control byte in the reason phrase";
}

}  // namespace

Parsed ResponseParser::parse(std::string_view bytes, const HeadLimits& limits, Method request,
                             ResponseHead& head) {
  while (true) {
    const size_t feed = bytes.find('\n', scan_);
    if (feed == std::string_view::npos) break;
    std::string_view line = bytes.substr(line_, feed - line_);
    if (feed >= limits.head_max) break;
    if (!line.ends_with('\r')) return refuse("a line feed without a carriage return");
    line.remove_suffix(1);
    line_ = scan_ = feed + 1;
    if (line.empty() && has_status_line_) {
      finish(request, head);
      return Parsed::kDone;
    }
    if (!take_line(line, head)) return refuse(refusal_.text);
  }
  scan_ = bytes.size();
  if (bytes.size() >= limits.head_max) return refuse("the head is too large");
  return Parsed::kIncomplete;
}

bool ResponseParser::take_line(std::string_view line, ResponseHead& head) {
  if (!has_status_line_) {
    has_status_line_ = true;
    head.fields.clear();
    refusal_.text = parse_status_line(line, head);
    return refusal_.text == nullptr;
  }
  if (head.fields.size() == Fields::kMax) return refusal_.because(502, "too many fields");
  Field& field = head.fields.append();
  refusal_.text = parse_field_line(line, field);
  return refusal_.text == nullptr && note_field(field, head.http_1_0, seen_, refusal_);
}

// RFC 9112 section 6.3.
void ResponseParser::finish(Method request, ResponseHead& head) const {
  const bool never_has_body = head.status < 200 || head.status == 204;
  const bool no_body = never_has_body || head.status == 304 || request == Method::kHead;
  head.framing = no_body                    ? Framing::kNone
                 : seen_.chunked            ? Framing::kChunked
                 : seen_.has_content_length ? Framing::kLength
                                            : Framing::kUntilClose;
  head.content_length = seen_.content_length;
  head.has_content_length = seen_.has_content_length;
  head.keep_alive =
      !seen_.close && (!head.http_1_0 || seen_.keep_alive) && head.framing != Framing::kUntilClose;
  // A body where none may be would be read as the next response.
  if (never_has_body && (seen_.chunked || seen_.content_length > 0)) head.keep_alive = false;
  if (seen_.names_fields) mark_named_fields(head.fields);
}

Parsed ResponseParser::refuse(const char* text) {
  refusal_.because(502, text);
  return Parsed::kRefused;
}

}  // namespace terrace::http

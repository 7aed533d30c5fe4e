#include "http/http2_head.h"

#include <cstring>

#include "http/field_line.h"
#include "http/request_line.h"
#include "http/syntax.h"
#include "http/url.h"

namespace terrace::http {
namespace {

constexpr std::string_view kCookieSeparator = "; ";
constexpr size_t kFieldOverhead = 32;  // RFC 9113 section 6.5.2

}  // namespace

void Http2HeadReader::start(Buffers& buffers) {
  Buffer bytes = bytes_ ? std::move(bytes_) : buffers.take();
  *this = Http2HeadReader();
  bytes_ = std::move(bytes);
  if (!bytes_) refuse(503, "no buffer is left");
}

bool Http2HeadReader::refuse(int status, const char* text) {
  if (!refused_) refusal_.because(status, text);
  refused_ = true;
  return false;
}

std::string_view Http2HeadReader::keep(std::string_view text) {
  if (text.size() > Buffer::size() - used_) {
    refuse(431, "the head does not fit");
    return {};
  }
  char* at = bytes_.data() + used_;
  std::memcpy(at, text.data(), text.size());
  used_ += text.size();
  return {at, text.size()};
}

bool Http2HeadReader::add(std::string_view name, std::string_view value, const HeadLimits& limits,
                          Fields& fields) {
  decoded_ += name.size() + value.size() + kFieldOverhead;
  if (decoded_ > limits.head_max) {
    // What there is would be named in a log: a target that is too long has an answer of its own.
    if (name == ":path" && value.size() > limits.target_max) refuse(414, "the target is too long");
    refuse(431, "the head is too large");
  }
  if (refused_) return decoded_ <= kExcessFactor * limits.head_max;
  if (name.starts_with(':')) return add_pseudo(name, value);
  const HeaderId id = header_id(name);
  if (id == HeaderId::kCookie && cookie_ >= 0) return add_cookie(value, fields);
  if (id == HeaderId::kHost) {
    has_host_ = true;
    host_ = keep(value);
    return true;
  }
  if (fields.size() == limits.fields_max) {
    refuse(431, "too many fields");
    return true;
  }
  if (id == HeaderId::kCookie) cookie_ = fields.size();
  const std::string_view kept_name = keep(name);
  fields.add({kept_name, keep(value), id, false});
  return true;
}

bool Http2HeadReader::add_pseudo(std::string_view name, std::string_view value) {
  const std::string_view kept = keep(value);
  if (name == ":method") method_ = kept;
  if (name == ":path") path_ = kept;
  if (name == ":authority") authority_ = kept;
  if (name == ":protocol") protocol_ = kept;
  if (name == ":status") status_ = kept;
  return true;
}

// RFC 9113 section 8.2.3. Crumbs follow each other as a rule, and the joined value grows
// where it is; behind something else it is moved to the end first.
bool Http2HeadReader::add_cookie(std::string_view value, Fields& fields) {
  Field& cookie = *(fields.begin() + cookie_);
  const char* end = cookie.value.data() + cookie.value.size();
  if (end != bytes_.data() + used_) cookie.value = keep(cookie.value);
  const std::string_view separator = keep(kCookieSeparator);
  const std::string_view crumb = keep(value);
  if (refused_) return true;
  cookie.value = {cookie.value.data(), cookie.value.size() + separator.size() + crumb.size()};
  return true;
}

bool Http2HeadReader::finish_request(const HeadLimits& limits, bool end, RequestHead& head) {
  head.http_1_0 = false;
  head.keep_alive = true;
  head.expect_continue = head.upgrade = false;
  if (refused_) return false;
  const bool tunnel = method_ == "CONNECT" && !protocol_.empty();
  if (path_.size() > limits.target_max) return refuse(414, "the target is too long");
  if (!parse_method(tunnel ? "GET" : method_, head, refusal_)) return false;
  if (!parse_origin_form(path_, head, refusal_)) return false;
  if (!take_host(head) || !take_fields(head)) return false;
  head.content_length = seen_.content_length;
  head.framing = seen_.has_content_length ? Framing::kLength : end ? Framing::kNone : Framing::kChunked;
  head.expect_continue = head.expect_continue && !end;
  if (!tunnel) return true;
  // RFC 8441 section 5: what is an Upgrade in HTTP/1.1.
  if (head.fields.size() == Fields::kCapacity) return refuse(431, "too many fields");
  head.fields.add({"upgrade", protocol_, HeaderId::kUpgrade, true});
  head.upgrade = true;
  head.framing = Framing::kNone;
  return true;
}

// RFC 9113 section 8.3.1: Host and :authority must not differ.
bool Http2HeadReader::take_host(RequestHead& head) {
  const bool named = !authority_.empty();
  head.authority = named ? authority_ : host_;
  if (!valid_authority(head.authority)) return refusal_.because(400, "bad authority");
  if (named && has_host_ && !equals_ignoring_case(authority_, host_)) {
    return refusal_.because(400, "Host differs from the authority");
  }
  return true;
}

bool Http2HeadReader::take_fields(RequestHead& head) {
  for (Field& field : head.fields) {
    if (!note_field(field, false, seen_, refusal_)) return false;
    if (field.id != HeaderId::kExpect) continue;
    if (!equals_ignoring_case(field.value, "100-continue")) {
      return refusal_.because(417, "unknown expectation");
    }
    head.expect_continue = true;
  }
  return true;
}

bool Http2HeadReader::finish_response(Method request, bool end, ResponseHead& head) {
  head.http_1_0 = false;
  head.keep_alive = true;
  head.reason = {};
  head.status = 0;
  if (refused_) return false;
  for (const char digit : status_) head.status = head.status * 10 + (digit - '0');
  if (status_.size() != 3 || head.status < 100 || head.status > 599) return refuse(502, "bad status code");
  for (Field& field : head.fields) {
    if (!note_field(field, false, seen_, refusal_)) return false;
  }
  head.content_length = seen_.content_length;
  head.has_content_length = seen_.has_content_length;
  const bool no_body =
      head.status < 200 || head.status == 204 || head.status == 304 || request == Method::kHead;
  if (no_body) {
    head.framing = Framing::kNone;
  } else if (seen_.has_content_length || end) {
    // An end with the head is a body of length 0, which the next hop can be told.
    head.framing = Framing::kLength;
    head.has_content_length = true;
  } else {
    head.framing = Framing::kChunked;
  }
  return true;
}

}  // namespace terrace::http

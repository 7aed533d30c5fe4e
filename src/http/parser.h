#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "http/message.h"

namespace terrace::http {

// HTTP/1 heads to messages (RFC 9112), strict: every row of the table in
// tests/http/cases.toml. A parser is fed the same growing buffer again until it
// is done; it never looks at a byte twice for the end of a line, so one byte at a
// time costs no more than all at once. The buffer must not move meanwhile.
// Not thread-safe; allocates nothing.

// Limits of a head, in bytes.
struct HeadLimits {
  size_t target_max = 8190;       // longer: 414; keep it below head_max
  size_t head_max = 16384;        // the whole head with its last empty line; larger: 431
  int fields_max = Fields::kMax;  // of HTTP/2, at most Fields::kCapacity; more: 431
};

enum class Parsed : uint8_t { kIncomplete, kDone, kRefused };

// Why a head was refused. The connection is closed after the answer.
struct Refusal {
  int status = 400;       // for a request: what the client gets
  const char* text = "";  // for the log and the error page: "two Content-Length fields"

  // Always false, so that a check can end with `return refusal.because(…)`.
  bool because(int why_status, const char* why) {
    status = why_status;
    text = why;
    return false;
  }
};

// What the fields of a head have said so far about its body and its connection
// (RFC 9112 sections 6 and 9). The same for both directions.
struct FieldsSeen {
  uint64_t content_length = 0;
  bool has_content_length = false;
  bool chunked = false;
  bool close = false;           // Connection: close
  bool keep_alive = false;      // Connection: keep-alive
  bool upgrade_option = false;  // Connection: upgrade
  bool names_fields = false;    // Connection names fields: they are hop-by-hop
  bool host = false;
  int connection_options = 0;
};

class RequestParser {
 public:
  // Starts anew, for the next request on a connection.
  void reset() { *this = RequestParser(); }
  // `bytes`: all that has arrived since the start of this head. On kDone
  // head_bytes() of them were the head and the rest is body or the next request.
  // A line that cannot be right is refused as soon as its line feed is there, a
  // target that is too long even before.
  Parsed parse(std::string_view bytes, const HeadLimits& limits, RequestHead& head);
  size_t head_bytes() const { return line_; }
  // True once a byte of a head other than a leading empty line has arrived.
  bool started() const { return started_; }
  const Refusal& refusal() const { return refusal_; }

 private:
  bool take_line(std::string_view line, RequestHead& head);
  bool take_field(std::string_view line, RequestHead& head);
  bool take_host(std::string_view value, RequestHead& head);
  bool take_expect(std::string_view value, RequestHead& head);
  bool finish(RequestHead& head);
  Parsed wait(std::string_view bytes, const HeadLimits& limits);
  bool may_begin_request(std::string_view start, const HeadLimits& limits);
  Parsed refuse(int status, const char* text);

  size_t line_ = 0;  // start of the line being read
  size_t scan_ = 0;  // no line feed before here
  bool started_ = false;
  bool has_request_line_ = false;
  FieldsSeen seen_;
  Refusal refusal_;
};

class ResponseParser {
 public:
  void reset() { *this = ResponseParser(); }
  // `request`: the method it answers, which decides whether a body can follow.
  // 1xx heads come out as kDone too; the caller reads on after them.
  // Every refusal has status 502: what our own client gets.
  Parsed parse(std::string_view bytes, const HeadLimits& limits, Method request, ResponseHead& head);
  size_t head_bytes() const { return line_; }
  const Refusal& refusal() const { return refusal_; }

 private:
  bool take_line(std::string_view line, ResponseHead& head);
  void finish(Method request, ResponseHead& head) const;
  Parsed refuse(const char* text);

  size_t line_ = 0;
  size_t scan_ = 0;
  bool has_status_line_ = false;
  FieldsSeen seen_;
  Refusal refusal_;
};

}  // namespace terrace::http

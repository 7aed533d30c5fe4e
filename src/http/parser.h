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
  size_t target_max = 8190;  // longer: 414
  size_t head_max = 16384;   // the whole head with its last empty line; larger: 431
};

enum class Parsed : uint8_t { kIncomplete, kDone, kRefused };

// Why a head was refused. The connection is closed after the answer.
struct Refusal {
  int status = 400;       // for a request: what the client gets
  const char* text = "";  // for the log and the error page: "two Content-Length fields"
};

class RequestParser {
 public:
  // Starts anew, for the next request on a connection.
  void reset();
  // `bytes`: all that has arrived since the start of this head. On kDone
  // head_bytes() of them were the head and the rest is body or the next request.
  Parsed parse(std::string_view bytes, const HeadLimits& limits, RequestHead& head);
  size_t head_bytes() const { return line_; }
  // True once a byte of a head other than a leading empty line has arrived.
  bool started() const { return started_; }
  const Refusal& refusal() const { return refusal_; }

 private:
  size_t line_ = 0;  // start of the line being read
  size_t scan_ = 0;  // no line feed before here
  bool started_ = false;
  bool has_request_line_ = false;
  Refusal refusal_;
};

class ResponseParser {
 public:
  void reset();
  // `request`: the method it answers, which decides whether a body can follow.
  // 1xx heads come out as kDone too; the caller reads on after them.
  Parsed parse(std::string_view bytes, const HeadLimits& limits, Method request, ResponseHead& head);
  size_t head_bytes() const { return line_; }
  const Refusal& refusal() const { return refusal_; }

 private:
  size_t line_ = 0;
  size_t scan_ = 0;
  bool has_status_line_ = false;
  Refusal refusal_;
};

}  // namespace terrace::http

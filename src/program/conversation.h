#pragma once

// One client of the control socket, or of the member's, while its command is under way
// (control.h).

#include <string>
#include <string_view>

#include "net/stream.h"

namespace terrace::program {

// The first line of what a client sends, and what came behind it.
struct RequestLine {
  std::string text;
  std::string unread;
};
// kTimeout at the deadline, kClosed when the client leaves, kLimit when the line is longer
// than kControlRequestBytesMax.
Task<Result<void>> read_request_line(net::Stream& stream, RequestLine& line, Time deadline);

class Conversation {
 public:
  // `unread`: what the client sent behind its request line.
  Conversation(net::Stream& stream, std::string unread) : stream_(stream), unread_(std::move(unread)) {}

  // Sends a progress line, or keeps it until the socket takes it. Beyond
  // kPendingBytesMax new lines are dropped: a client that does not read holds nothing
  // up, and one that has left neither.
  void progress(std::string_view step, std::string_view line);
  // Any other line, likewise; without its end.
  void say(std::string_view line);
  // The same, but waits until the client has taken it: for what must not be dropped.
  Task<Result<void>> send(std::string line);
  // What the socket has not taken yet, to be sent before the answer.
  std::string take_pending() { return std::move(pending_); }

  net::Stream& stream() { return stream_; }
  std::string take_unread() { return std::move(unread_); }

  static constexpr size_t kPendingBytesMax = 256 << 10;

 private:
  net::Stream& stream_;
  std::string unread_;
  std::string pending_;
};

// A text that follows the request line in the frames of upload.h; kLimit beyond `bytes_max`.
Task<Result<std::string>> receive_text(Conversation& talk, size_t bytes_max, Time deadline);

}  // namespace terrace::program

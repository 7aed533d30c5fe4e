#pragma once

// One question to the controller of this server over its control socket (control.h), for
// the member's reactor: what ControlQuestion is for the command line, without blocking.

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "net/stream.h"
#include "program/conversation.h"

namespace terrace::program {

class ControlCall {
 public:
  explicit ControlCall(Reactor& reactor) : reactor_(reactor) {}

  // Connects and sends the line, which has no line end yet. kNotFound or kSystem when
  // nobody answers at that socket.
  Task<Result<void>> ask(std::string socket, std::string line, Time deadline);
  // More of what a command takes, such as the frames of an upload.
  Task<Result<void>> send(std::string_view bytes);
  // The next line without its end: progress, "ready" or the answer.
  Task<Result<std::string>> line(Time deadline);
  // Bytes that come behind a line that said "ready"; empty at the end.
  Task<Result<std::string>> bytes(Time deadline);

 private:
  Reactor& reactor_;
  net::Stream stream_;
  std::string unread_;
};

// Asks, hands each progress line on to `conversation` when there is one, and returns the
// answer.
Task<Result<std::string>> ask_controller(Reactor& reactor, std::string socket, std::string line,
                                         Conversation* conversation, Time deadline);

}  // namespace terrace::program

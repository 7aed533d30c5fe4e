#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/descriptor.h"
#include "base/result.h"

namespace terrace::program {

// One question to the controller over its control socket (control.h). For the
// command line: it blocks.
class ControlQuestion {
 public:
  // Connects and sends the line, which has no line end yet. kNotFound when no
  // site runs there, kSystem with EACCES when it is another user's.
  static Result<ControlQuestion> ask(const std::string& socket, std::string_view line);

  // Waits for at most `wait` and returns the next line: the answer, or before it a progress
  // line. kTimeout when it has not come yet (call again), kClosed when the controller
  // went away, kLimit when it says too much.
  Result<std::string> answer(std::chrono::milliseconds wait);
  // Sends more, as a command that takes an upload expects it. kClosed when the controller
  // wants no more: its answer says why.
  Result<void> send(std::string_view bytes);

 private:
  explicit ControlQuestion(Descriptor connection) : connection_(std::move(connection)) {}
  Result<void> read_more();
  Descriptor connection_;
  std::string received_;
};

// Both at once.
Result<std::string> ask_controller(const std::string& socket, std::string_view line,
                                   std::chrono::milliseconds wait);

// The same for a person who waits: after kSilenceMax without an answer standard error says for whom.
constexpr std::chrono::milliseconds kSilenceMax{2000};
Result<std::string> ask_patiently(const std::string& socket, std::string_view line,
                                  std::chrono::milliseconds wait, std::string_view whom);

// What a progress line says (control.h); nothing when `line` is another one.
struct ControlProgress {
  std::string step;
  std::string line;
};
std::optional<ControlProgress> parse_progress(std::string_view line);

// Asks, gives each progress line to `show`, and returns the answer.
Result<std::string> follow_controller(const std::string& socket, std::string_view line,
                                      std::chrono::milliseconds wait,
                                      const std::function<void(const ControlProgress&)>& show);

// What to tell a person about a failed question.
std::string describe_control_error(const Error& error, const std::string& socket);

}  // namespace terrace::program

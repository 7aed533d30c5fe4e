#pragma once

// <log>/app.log: what the instances print and what becomes of them, line by line:
//
//   2026-11-22T10:00:00.123Z app-1: the line
//   2026-11-22T10:00:00.123Z app-1@7: the line of an instance of release 7

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "program/log_appender.h"

namespace terrace::program {

// How lines name their writer: "app-1", of a release "app-1@7".
std::string name_in_log(std::string_view name, uint32_t release);

class AppLog {
 public:
  explicit AppLog(const Clock& clock) : clock_(clock) {}

  Result<void> open(const std::string& path);
  // Appends lines of one writer, one write(2) for all. A log that cannot be written
  // (disk full) stops nothing: the lines are lost, and the first line that the file
  // takes again says how many.
  void write(std::string_view name, const std::deque<std::string>& lines);
  void write(std::string_view name, std::string_view line);

  // Lines lost so far.
  uint64_t lines_lost() const { return lost_; }

 private:
  void append(const std::string& text, uint64_t lines);
  bool say_what_was_lost();
  void follow_rotation();

  const Clock& clock_;
  LogAppender file_;
  Time looked_;  // when somebody last could have moved the file away
  uint64_t lost_ = 0;
  uint64_t lost_and_said_ = 0;
  int lost_because_ = 0;  // errno
};

// Cuts a stream of bytes into lines. A line without an end after kLineBytesMax is
// cut there: an instance that never ends its line cannot fill our memory.
class Lines {
 public:
  static constexpr size_t kLineBytesMax = 8192;

  // The lines that `bytes` complete.
  std::deque<std::string> add(std::string_view bytes);
  // What is left without an end, at the end of the stream.
  std::string take_rest() { return std::exchange(rest_, {}); }

 private:
  std::string rest_;
};

}  // namespace terrace::program

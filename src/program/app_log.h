#pragma once

// <log>/app.log: what the instances print and what becomes of them, line by line:
//
//   2026-11-22T10:00:00.123Z app-1: the line

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/result.h"

namespace terrace::program {

class AppLog {
 public:
  // Beyond this size the file becomes app.log.1, in place of the one before.
  static constexpr int64_t kBytesMax = 64 << 20;

  explicit AppLog(const Clock& clock) : clock_(clock) {}

  Result<void> open(const std::string& path);
  // Appends lines of one writer, one write(2) for all. A log that cannot be written
  // (disk full) stops nothing.
  void write(std::string_view name, const std::deque<std::string>& lines);
  void write(std::string_view name, std::string_view line);

 private:
  void append(const std::string& text);
  Result<void> open_anew();
  void follow_rotation();

  std::string path_;
  const Clock& clock_;
  Descriptor file_;
  int64_t bytes_ = 0;
  Time looked_;  // when somebody last could have moved the file away
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

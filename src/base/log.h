#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace terrace {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError };

// One named value of a log line.
struct LogField {
  LogField(std::string_view n, std::string_view v) : name(n), text(v) {}
  LogField(std::string_view n, const char* v) : name(n), text(v) {}
  LogField(std::string_view n, const std::string& v) : name(n), text(v) {}
  LogField(std::string_view n, int64_t v) : name(n), number(v), is_number(true) {}
  LogField(std::string_view n, int v) : name(n), number(v), is_number(true) {}
  LogField(std::string_view n, uint64_t v) : name(n), number(static_cast<int64_t>(v)), is_number(true) {}
  std::string_view name;
  std::string_view text;
  int64_t number = 0;
  bool is_number = false;
};

// Where each line of a log goes besides its descriptor. Any thread may call.
class LogCopy {
 public:
  virtual ~LogCopy() = default;
  // A whole line with its end.
  virtual void write(std::string_view line) = 0;
};

// Terrace's own log: one line per event on standard error. Any thread may write: a
// line is one write(2).
//
//   2026-11-22T10:00:00.123Z warning worker: instance ended instance=app-1 signal=9
//
// To the journal of systemd it says the level as sd-daemon(3) wants it, and leaves
// the time to the journal: "<4>worker: instance ended instance=app-1 signal=9".
//
// Secrets never become fields. Values with spaces, quotes or control bytes are
// written as JSON strings, so a peer cannot forge a line.
class Log {
 public:
  explicit Log(std::string process, LogLevel level = LogLevel::kInfo, int fd = 2);

  // Every line goes there as well; it outlives us. Null ends that. To be said before
  // other threads use the log.
  void copy_to(LogCopy* copy) { copy_ = copy; }

  void debug(std::string_view text, std::initializer_list<LogField> fields = {}) const;
  void info(std::string_view text, std::initializer_list<LogField> fields = {}) const;
  void warning(std::string_view text, std::initializer_list<LogField> fields = {}) const;
  void error(std::string_view text, std::initializer_list<LogField> fields = {}) const;

 private:
  void write(LogLevel level, std::string_view text, std::initializer_list<LogField> fields) const;
  std::string process_;
  LogLevel level_;
  int fd_;
  bool journal_;
  LogCopy* copy_ = nullptr;
};

// "2026-11-22T10:00:00.123Z", as lines of all our logs begin.
std::string log_time(WallTime time);

// Whether the journal of systemd is at the other end: JOURNAL_STREAM names its device
// and inode (systemd.exec(5)).
bool is_journal(int fd, const char* journal_stream);

// Appends `text` as the inside of a JSON string (RFC 8259 section 7). Bytes that
// are not valid UTF-8 become U+FFFD.
void append_json_escaped(std::string& out, std::string_view text);

// Length in bytes of the UTF-8 character at the start of `text`, which is not
// empty; 0 when the bytes are not UTF-8 (RFC 3629 section 4).
size_t utf8_length(std::string_view text);

}  // namespace terrace

#include "base/log.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

namespace terrace {
namespace {

const char* name_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "";
}

// The priorities of syslog(3).
int priority_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return 7;
    case LogLevel::kInfo:
      return 6;
    case LogLevel::kWarning:
      return 4;
    case LogLevel::kError:
      return 3;
  }
  return 6;
}

bool plain(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=';
  });
}

void append_field(std::string& line, const LogField& field) {
  line += ' ';
  line += field.name;
  line += '=';
  if (field.is_number) {
    line += std::to_string(field.number);
  } else if (plain(field.text)) {
    line += field.text;
  } else {
    line += '"';
    append_json_escaped(line, field.text);
    line += '"';
  }
}

}  // namespace

size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const size_t length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (first == 0xe0 && byte(1) < 0xa0) return 0;
  if (first == 0xed && byte(1) > 0x9f) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

void append_json_escaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const auto c = static_cast<unsigned char>(text[0]);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      text.remove_prefix(1);
      continue;
    }
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", c);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
}

std::string log_time(WallTime time) {
  const int64_t milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const time_t seconds = milliseconds / 1000;
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, milliseconds % 1000);
}

bool is_journal(int fd, const char* journal_stream) {
  struct stat about{};
  return journal_stream != nullptr && ::fstat(fd, &about) == 0 &&
         fmt::format("{}:{}", about.st_dev, about.st_ino) == journal_stream;
}

Log::Log(std::string process, LogLevel level, int fd)
    : process_(std::move(process)),
      level_(level),
      fd_(fd),
      journal_(is_journal(fd, std::getenv("JOURNAL_STREAM"))) {}

void Log::write(LogLevel level, std::string_view text, std::initializer_list<LogField> fields) const {
  if (level < level_) return;
  std::string said = fmt::format("{}: {}", process_, text);
  for (const LogField& field : fields) append_field(said, field);
  said += '\n';
  const std::string line =
      fmt::format("{} {} {}", log_time(std::chrono::system_clock::now()), name_of(level), said);
  const std::string shown = journal_ ? fmt::format("<{}>{}", priority_of(level), said) : line;
  // A log that cannot be written (disk full) must not stop the work.
  (void)!::write(fd_, shown.data(), shown.size());
  if (copy_ != nullptr) copy_->write(line);
}

void Log::debug(std::string_view text, std::initializer_list<LogField> fields) const {
  write(LogLevel::kDebug, text, fields);
}
void Log::info(std::string_view text, std::initializer_list<LogField> fields) const {
  write(LogLevel::kInfo, text, fields);
}
void Log::warning(std::string_view text, std::initializer_list<LogField> fields) const {
  write(LogLevel::kWarning, text, fields);
}
void Log::error(std::string_view text, std::initializer_list<LogField> fields) const {
  write(LogLevel::kError, text, fields);
}

}  // namespace terrace

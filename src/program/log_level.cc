// How grave a line is: see log_line.h.

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "program/log_line.h"

namespace terrace::program {
namespace {

// An application says its level at the start of a line.
constexpr size_t kLookedAtBytes = 160;

struct Word {
  std::string_view word;
  LogLevel level;
};
constexpr std::array kWords = {
    Word{"trace", LogLevel::kDebug},  Word{"debug", LogLevel::kDebug},  Word{"info", LogLevel::kInfo},
    Word{"notice", LogLevel::kInfo},  Word{"warn", LogLevel::kWarning}, Word{"warning", LogLevel::kWarning},
    Word{"err", LogLevel::kError},    Word{"error", LogLevel::kError},  Word{"critical", LogLevel::kError},
    Word{"crit", LogLevel::kError},   Word{"fatal", LogLevel::kError},  Word{"panic", LogLevel::kError},
    Word{"severe", LogLevel::kError}, Word{"alert", LogLevel::kError},  Word{"emerg", LogLevel::kError},
};

// What Terrace itself writes into the application's log about an instance.
constexpr std::array kOwnWords = {
    Word{"ended: ", LogLevel::kWarning},
    Word{"not healthy within", LogLevel::kError},
    Word{"its health checks have failed", LogLevel::kError},
    Word{"its replacement did not", LogLevel::kError},
    Word{"a crash loop: ", LogLevel::kError},
    Word{"Traceback (most recent call last)", LogLevel::kError},  // of Python
};

bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

// The words that loggers of all languages share, in any case.
std::optional<LogLevel> common_level(std::string_view word) {
  const auto found = std::ranges::find(kWords, lower(word), &Word::word);
  return found == kWords.end() ? std::nullopt : std::optional(found->level);
}

// Of pino and bunyan: 30 is info.
LogLevel level_of_number(int number) {
  if (number < 30) return LogLevel::kDebug;
  if (number < 40) return LogLevel::kInfo;
  return number < 50 ? LogLevel::kWarning : LogLevel::kError;
}

// {"level":"warn",…} or {"level":40,…}
std::optional<LogLevel> level_of_json(std::string_view text) {
  for (const std::string_view name : {"\"level\":", "\"severity\":", "\"levelname\":", "\"lvl\":"}) {
    const size_t at = text.find(name);
    if (at == std::string_view::npos) continue;
    std::string_view value = text.substr(at + name.size());
    while (value.starts_with(' ')) value.remove_prefix(1);
    if (value.starts_with('"')) {
      value.remove_prefix(1);
      return common_level(value.substr(0, value.find('"')));
    }
    int number = 0;
    if (std::from_chars(value.data(), value.data() + value.size(), number).ec == std::errc())
      return level_of_number(number);
  }
  return std::nullopt;
}

// A word counts where a logger puts it: in capitals, before a colon, in brackets, or
// behind `level=`. In a sentence ("no error") it says nothing.
std::optional<LogLevel> level_at(std::string_view text, size_t begin, size_t end) {
  const std::string_view word = text.substr(begin, end - begin);
  const char before = begin > 0 ? text[begin - 1] : ' ';
  const char after = end < text.size() ? text[end] : ' ';
  // ValueError: of Python, TypeError: of JavaScript, IOException: of Java
  if (after == ':' && (word.ends_with("Error") || word.ends_with("Exception"))) return LogLevel::kError;
  const bool capitals = std::ranges::none_of(word, [](char c) { return c >= 'a' && c <= 'z'; });
  const bool marked = after == ':' || after == ']' || after == '>' || before == '=';
  return word.size() > 2 && (capitals || marked) ? common_level(word) : std::nullopt;
}

// "W, [2026-11-22T…": the logger of Ruby.
std::optional<LogLevel> level_of_ruby(std::string_view text) {
  if (text.size() < 4 || text.substr(1, 3) != ", [") return std::nullopt;
  switch (text[0]) {
    case 'D':
      return LogLevel::kDebug;
    case 'I':
      return LogLevel::kInfo;
    case 'W':
      return LogLevel::kWarning;
    case 'E':
    case 'F':
      return LogLevel::kError;
    default:
      return std::nullopt;
  }
}

LogLevel level_of_text(std::string_view text) {
  for (const Word& own : kOwnWords) {
    if (text.starts_with(own.word)) return own.level;
  }
  if (text.starts_with('{')) return level_of_json(text).value_or(LogLevel::kInfo);
  if (const auto ruby = level_of_ruby(text)) return *ruby;
  text = text.substr(0, kLookedAtBytes);
  for (size_t end = 0, begin = 0; begin < text.size(); begin = end + 1) {
    for (end = begin; end < text.size() && is_letter(text[end]);) ++end;
    if (const auto level = level_at(text, begin, end)) return *level;
  }
  return LogLevel::kInfo;
}

// Behind the quoted request of the readable form, or the member of the JSON one.
int status_of(std::string_view line) {
  const std::string_view member = ",\"status\":";
  size_t at = line.starts_with('{') ? line.find(member) + member.size() : line.find('"') + 1;
  if (!line.starts_with('{')) {
    while (at < line.size() && line[at] != '"') at += line[at] == '\\' ? 2 : 1;
    at += 2;
  }
  int status = 0;
  if (at < line.size()) std::from_chars(line.data() + at, line.data() + line.size(), status);
  return status;
}

}  // namespace

std::optional<LogLevel> level_of_word(std::string_view word) {
  if (word == "debug") return LogLevel::kDebug;
  if (word == "info") return LogLevel::kInfo;
  if (word == "warning") return LogLevel::kWarning;
  if (word == "error") return LogLevel::kError;
  return std::nullopt;
}

LogLevel level_of_log_line(std::string_view log, std::string_view line) {
  if (log == "access") {
    const int status = status_of(line);
    return status >= 500 ? LogLevel::kError : status >= 400 ? LogLevel::kWarning : LogLevel::kInfo;
  }
  if (log == "app") return level_of_text(split_app_line(line).text);
  const size_t space = line.find(' ');
  const std::string_view rest = space == std::string_view::npos ? line : line.substr(space + 1);
  return level_of_word(rest.substr(0, rest.find(' '))).value_or(LogLevel::kInfo);
}

}  // namespace terrace::program

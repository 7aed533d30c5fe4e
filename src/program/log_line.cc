#include "program/log_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <ctime>
#include <nlohmann/json.hpp>

namespace terrace::program {
namespace {

// The first word of `text`, which is taken off together with the blank behind it.
std::string_view take_word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(word.size() + 1, text.size()));
  return word;
}

bool is_time(std::string_view word) {
  return word.size() >= 20 && word[4] == '-' && word[10] == 'T' && word.ends_with('Z');
}

// Where the quoted part at the start of `text` ends.
size_t quoted_end(std::string_view text) {
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return text.size();
}

// Whether a word outside of quotes is the wanted one.
template <class Wanted>
bool has_word(std::string_view line, const Wanted& wanted) {
  while (!line.empty()) {
    if (line[0] == '"') {
      line.remove_prefix(quoted_end(line));
    } else if (wanted(take_word(line))) {
      return true;
    }
  }
  return false;
}

void append_member(std::string& out, std::string_view name, std::string_view value) {
  out += fmt::format(",\"{}\":\"", name);
  append_json_escaped(out, value);
  out += '"';
}

// Digits of `text` from `at` on, as a number that is not above `maximum`.
std::optional<int> digits(std::string_view text, size_t at, size_t count, int maximum) {
  if (text.size() < at + count) return std::nullopt;
  int value = 0;
  for (const char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value <= maximum ? std::optional(value) : std::nullopt;
}

// The number of `text` from `at` on, when `mark` stands before it; 0 at the end of the
// text, which leaves out what is smaller.
std::optional<int> part(std::string_view text, size_t at, std::string_view marks, size_t count, int maximum) {
  if (at >= text.size()) return 0;
  if (marks.find(text[at]) == std::string_view::npos) return std::nullopt;
  return digits(text, at + 1, count, maximum);
}

std::optional<std::chrono::seconds> unit_of(char c) {
  switch (c) {
    case 's':
      return std::chrono::seconds(1);
    case 'm':
      return std::chrono::minutes(1);
    case 'h':
      return std::chrono::hours(1);
    case 'd':
      return std::chrono::days(1);
    case 'w':
      return std::chrono::weeks(1);
    default:
      return std::nullopt;
  }
}

const char* name_of(LogLevel level) {
  constexpr const char* kNames[] = {"debug", "info", "warning", "error"};
  return kNames[static_cast<size_t>(level)];
}

// "7" of "app-1@7", and of a job that belongs to a release, "build-7".
std::string_view release_of(std::string_view writer) {
  if (const size_t at = writer.find('@'); at != std::string_view::npos) return writer.substr(at + 1);
  const size_t dash = writer.rfind('-');
  return dash == std::string_view::npos || writer.starts_with("app-") ? std::string_view()
                                                                      : writer.substr(dash + 1);
}

}  // namespace

std::string_view time_of_log_line(std::string_view line) {
  constexpr std::string_view kMember = "{\"time\":\"";
  if (line.starts_with(kMember)) {
    line.remove_prefix(kMember.size());
    line = line.substr(0, line.find('"'));
  }
  const std::string_view word = line.substr(0, line.find(' '));
  return is_time(word) ? word : std::string_view();
}

std::optional<WallTime> wall_time(std::string_view text) {
  if (text.ends_with('Z')) text.remove_suffix(1);
  if (text.size() < 10 || text[4] != '-' || text[7] != '-' || text.size() > 23) return std::nullopt;
  // A time of day has at least its minutes.
  if (text.size() > 10 && text.size() < 16) return std::nullopt;
  const std::optional<int> fields[] = {digits(text, 0, 4, 9999),   digits(text, 5, 2, 12),
                                       digits(text, 8, 2, 31),     part(text, 10, "T ", 2, 23),
                                       part(text, 13, ":", 2, 59), part(text, 16, ":", 2, 60),
                                       part(text, 19, ".", 3, 999)};
  if (!std::ranges::all_of(fields, [](const auto& field) { return field.has_value(); })) return std::nullopt;
  tm parts{};
  parts.tm_year = *fields[0] - 1900;
  parts.tm_mon = *fields[1] - 1;
  parts.tm_mday = *fields[2];
  parts.tm_hour = *fields[3];
  parts.tm_min = *fields[4];
  parts.tm_sec = *fields[5];
  const time_t seconds = ::timegm(&parts);
  // timegm(3) takes February 31 for a day of March, and says so.
  if (parts.tm_mon != *fields[1] - 1 || parts.tm_mday != *fields[2]) return std::nullopt;
  return WallTime(std::chrono::seconds(seconds) + std::chrono::milliseconds(*fields[6]));
}

std::optional<WallTime> time_meant(std::string_view text, WallTime now) {
  const std::optional<std::chrono::seconds> unit = text.empty() ? std::nullopt : unit_of(text.back());
  if (!unit) return wall_time(text);
  int count = 0;
  const char* last = text.data() + text.size() - 1;
  const auto [end, error] = std::from_chars(text.data(), last, count);
  if (error != std::errc() || end != last || count < 0 || count > 100'000) return std::nullopt;
  return now - *unit * count;
}

AppLine split_app_line(std::string_view line) {
  std::string_view rest = line;
  const std::string_view time = take_word(rest);
  std::string_view writer = take_word(rest);
  if (!is_time(time) || !writer.ends_with(':'))
    return {.time = {}, .instance = {}, .release = {}, .text = line};
  writer.remove_suffix(1);
  return {.time = time,
          .instance = writer.substr(0, writer.find('@')),
          .release = release_of(writer),
          .text = rest};
}

bool log_line_is_of(std::string_view line, std::string_view instance) {
  const AppLine app = split_app_line(line);
  if (!app.instance.empty()) return app.instance == instance;
  // Quotes within values are escaped, so a client cannot write this member.
  if (line.starts_with('{'))
    return line.find(fmt::format(",\"instance\":\"{}\"", instance)) != std::string_view::npos;
  return has_word(line, [&](std::string_view word) {
    if (word.starts_with("instance=")) word.remove_prefix(9);
    return word.substr(0, word.find('@')) == instance;
  });
}

bool log_line_is_of_release(std::string_view line, uint32_t release) {
  const std::string number = std::to_string(release);
  const AppLine app = split_app_line(line);
  if (!app.instance.empty()) return app.release == number;
  if (line.starts_with('{')) {
    const std::string member = fmt::format(",\"release\":{}", number);
    const size_t at = line.find(member);
    const size_t end = at + member.size();
    return at != std::string_view::npos && end < line.size() && (line[end] == ',' || line[end] == '}');
  }
  return has_word(line, [&](std::string_view word) {
    const size_t mark = word.starts_with("release=") ? 7 : word.find('@');
    return mark != std::string_view::npos && word.substr(mark + 1) == number;
  });
}

std::string log_line_json(std::string_view log, std::string_view line) {
  std::string out = fmt::format("{{\"log\":\"{}\"", log);
  if (line.starts_with('{') && nlohmann::json::accept(line))
    return out + ",\"entry\":" + std::string(line) + "}";
  const AppLine app = split_app_line(line);
  std::string_view text = app.text;
  const std::string_view time = time_of_log_line(line);
  if (!time.empty()) append_member(out, "time", time);
  if (!app.instance.empty()) append_member(out, "instance", app.instance);
  if (!app.release.empty() && digits(app.release, 0, app.release.size(), INT_MAX))
    out += fmt::format(",\"release\":{}", app.release);
  if (app.time.empty() && !time.empty()) (void)take_word(text);
  if (!time.empty()) append_member(out, "level", name_of(level_of_log_line(log, line)));
  append_member(out, "text", text);
  return out + "}";
}

}  // namespace terrace::program

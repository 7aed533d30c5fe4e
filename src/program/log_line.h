#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"

// The lines of the log files, as `terrace logs` understands them.
//
//   app.log      2026-11-22T10:00:00.123Z app-1@7: what the application printed
//   access.log   monitor/access_log.h, as JSON or readable
//   terrace.log  base/log.h

namespace terrace::program {

// The parts of a line of app.log. A line of another form is all text.
struct AppLine {
  std::string_view time;
  std::string_view instance;
  std::string_view release;  // "7"; empty: none
  std::string_view text;
};
AppLine split_app_line(std::string_view line);

// "2026-11-22T10:00:00.123Z" of a line of any of the logs; empty when it has none. As
// text these times are in their order.
std::string_view time_of_log_line(std::string_view line);
// That time as a value; also shorter forms, down to "2026-11-22", all in UTC.
std::optional<WallTime> wall_time(std::string_view text);
// What a person calls a time: one of these forms, or "10m" for ten minutes before
// `now` (s, m, h, d, w).
std::optional<WallTime> time_meant(std::string_view text, WallTime now);

// Whether a line of any of the logs is about this instance, or this release.
bool log_line_is_of(std::string_view line, std::string_view instance);
bool log_line_is_of_release(std::string_view line, uint32_t release);

// How grave a line of the log `log` ("app", "access", "terrace") is. Of a request its
// status says it: 4xx a warning, 5xx an error. In what an application prints it is the
// level that common loggers write, and kInfo when there is none.
LogLevel level_of_log_line(std::string_view log, std::string_view line);
// "warning"; nothing for another word.
std::optional<LogLevel> level_of_word(std::string_view word);

// The line as one JSON object without line end: {"log": "app", "time": …,
// "instance": …, "release": …, "level": …, "text": …}, or for a JSON line
// {"log": "access", "entry": {…}}.
std::string log_line_json(std::string_view log, std::string_view line);

}  // namespace terrace::program

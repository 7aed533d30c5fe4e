#pragma once

#include <string>
#include <string_view>

// The lines of the log files, as `terrace logs` understands them.
//
//   app.log      2026-11-22T10:00:00.123Z app-1: what the application printed
//   access.log   monitor/access_log.h, as JSON or readable
//   terrace.log  base/log.h

namespace terrace::program {

// The parts of a line of app.log. A line of another form is all text.
struct AppLine {
  std::string_view time;
  std::string_view instance;
  std::string_view text;
};
AppLine split_app_line(std::string_view line);

// Whether a line of any of the logs is about this instance.
bool log_line_is_of(std::string_view line, std::string_view instance);

// The line as one JSON object without line end: {"log": "app", "time": …,
// "instance": …, "text": …}, or for a JSON line {"log": "access", "entry": {…}}.
std::string log_line_json(std::string_view log, std::string_view line);

}  // namespace terrace::program

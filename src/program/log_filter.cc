#include "program/log_filter.h"

#include "program/log_line.h"

namespace terrace::program {

bool LogFilter::wants(std::string_view log, std::string_view line) const {
  if (!since.empty() || !until.empty()) {
    const std::string_view time = time_of_log_line(line);
    if (time.empty() || time < since || (!until.empty() && time > until)) return false;
  }
  if (!text.empty() && line.find(text) == std::string_view::npos) return false;
  if (!instance.empty() && !log_line_is_of(line, instance)) return false;
  if (release != 0 && !log_line_is_of_release(line, release)) return false;
  return !level || level_of_log_line(log, line) >= *level;
}

}  // namespace terrace::program

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"

namespace terrace::program {

// Which lines of the logs a person wants to see; empty members want all.
struct LogFilter {
  std::string instance;  // "app-1"
  uint32_t release = 0;
  std::string since;  // "2026-11-22T10:00:00.000Z", the first and the last moment
  std::string until;
  std::optional<LogLevel> level;  // at least
  std::string text;               // somewhere in the line

  bool wants(std::string_view log, std::string_view line) const;
};

}  // namespace terrace::program

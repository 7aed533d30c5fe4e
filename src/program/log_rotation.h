#pragma once

// Begins a new file when a log has become too large or too old, compresses what was
// rotated away, and removes the oldest of it.
//
// Rotation is a rename: whoever writes the log sees within a second that its path
// names another file (log_appender.h), so no line is lost or cut in two, and nobody
// who serves requests waits. What logrotate(8) or a person renamed is left alone.
//
// All of it reads and writes files for as long as they take: it has a thread of its
// own in the controller (log_keeper.h).

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "program/log_parts.h"

namespace terrace::program {

// [logs] of the site file.
struct LogLimits {
  int64_t file_bytes_max = 64'000'000;
  Duration age_max = std::chrono::hours(24 * 30);  // older parts are removed
  int64_t total_bytes_max = 1'000'000'000;         // of all logs and their parts
  bool operator==(const LogLimits&) const = default;
};

// A file holds lines of a day at most.
constexpr Duration kPartAgeMax = std::chrono::hours(24);

class LogRotation {
 public:
  LogRotation(std::string folder, const Clock& clock, const Log& log)
      : folder_(std::move(folder)), clock_(clock), log_(log) {}

  void set_limits(const LogLimits& limits) { limits_ = limits; }

  // Renames the logs that are due. Cheap.
  void rotate();
  // Removes parts that are too old or too many.
  void prune();
  // Compresses the oldest part that nobody writes any more; false when there is none.
  bool compress_one();
  // Removes what an interrupted compression left behind.
  void remove_unfinished() const;

 private:
  // A file may hold a quarter of the total, so that the three that are written fit.
  int64_t file_bytes_max() const;
  void rotate_one(std::string_view name);
  bool is_due(const std::string& path) const;
  bool remove(const LogPart& part) const;

  std::string folder_;
  const Clock& clock_;
  const Log& log_;
  LogLimits limits_;
  int said_ = 0;  // the errno of the last failure that was logged
};

// When the first line of a log file was written; `otherwise` when it does not say.
WallTime begin_of_log(const std::string& path, WallTime otherwise);

}  // namespace terrace::program

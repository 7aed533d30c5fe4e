#pragma once

// When the next backup is due. No I/O, no clock of its own.

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace terrace::database {

struct BackupSchedule {
  std::chrono::minutes interval{0};             // zero: never by itself
  std::optional<std::chrono::minutes> at = {};  // of the day, in UTC: then once a day
};

// What is known of the backups so far.
struct BackupHistory {
  std::optional<WallTime> good;       // when the last good one was begun
  std::optional<WallTime> attempted;  // when the last one was begun, good or not
  uint32_t failures = 0;              // since the last good one
};

constexpr std::chrono::minutes kBackupRetryFirst{5};
constexpr std::chrono::minutes kBackupRetryMax{60};

// The time of the next one; in the past when one was missed, as after a downtime: it is
// due at once, and once only. Nothing when none is wanted. After a failure it is tried again, less
// and less often.
std::optional<WallTime> next_backup(const BackupSchedule& schedule, const BackupHistory& history,
                                    WallTime now);

}  // namespace terrace::database

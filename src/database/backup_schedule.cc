#include "database/backup_schedule.h"

#include <algorithm>

namespace terrace::database {
namespace {

using std::chrono::days;
using std::chrono::minutes;

// The last time before or at `now` that this time of the day was.
WallTime last_at(minutes at, WallTime now) {
  const WallTime midnight = std::chrono::floor<days>(now);
  const WallTime today = midnight + at;
  return today <= now ? today : today - days(1);
}

WallTime after_good(const BackupSchedule& schedule, WallTime good, WallTime now) {
  // The clock was set back: what it said then is worth nothing.
  if (good > now) return now;
  if (!schedule.at) return good + schedule.interval;
  const WallTime last = last_at(*schedule.at, now);
  return good >= last ? last + days(1) : last;
}

WallTime retry(const BackupHistory& history, WallTime now) {
  if (history.failures == 0 || !history.attempted || *history.attempted > now) return {};
  const uint32_t doublings = std::min<uint32_t>(history.failures - 1, 8);
  return *history.attempted + std::min(kBackupRetryFirst * (1 << doublings), kBackupRetryMax);
}

}  // namespace

std::optional<WallTime> next_backup(const BackupSchedule& schedule, const BackupHistory& history,
                                    WallTime now) {
  if (schedule.interval == minutes(0) && !schedule.at) return std::nullopt;
  const WallTime wanted = history.good ? after_good(schedule, *history.good, now) : now;
  return std::max(wanted, retry(history, now));
}

}  // namespace terrace::database

#include "database/backup_schedule.h"

#include <gtest/gtest.h>

namespace terrace::database {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;

const WallTime kMidnight = std::chrono::floor<days>(WallTime(std::chrono::seconds(1'795'000'000)));
const BackupSchedule kHourly{.interval = minutes(60)};
const BackupSchedule kAtThree{.at = hours(3)};

TEST(BackupSchedule, OffIsNever) { EXPECT_FALSE(next_backup({}, {}, kMidnight)); }

TEST(BackupSchedule, TheFirstIsDueAtOnce) {
  EXPECT_EQ(next_backup(kHourly, {}, kMidnight), kMidnight);
  EXPECT_EQ(next_backup(kAtThree, {}, kMidnight), kMidnight);
}

TEST(BackupSchedule, AnIntervalCountsFromTheLastGoodOne) {
  EXPECT_EQ(next_backup(kHourly, {.good = kMidnight}, kMidnight + minutes(10)), kMidnight + hours(1));
}

TEST(BackupSchedule, ATimeOfDayComesOnceADay) {
  const WallTime today = kMidnight + hours(3);
  EXPECT_EQ(next_backup(kAtThree, {.good = today}, today + minutes(1)), today + days(1));
  EXPECT_EQ(next_backup(kAtThree, {.good = today - hours(26)}, today - minutes(1)), today - days(1));
  EXPECT_EQ(next_backup(kAtThree, {.good = today - hours(20)}, today - minutes(1)), today);
}

TEST(BackupSchedule, WhatADowntimeMissedIsMadeUpForOnce) {
  const WallTime now = kMidnight + days(9) + hours(12);
  const std::optional<WallTime> due = next_backup(kAtThree, {.good = kMidnight + hours(3)}, now);
  ASSERT_TRUE(due);
  EXPECT_LE(*due, now);
  EXPECT_EQ(next_backup(kAtThree, {.good = now}, now), kMidnight + days(10) + hours(3));
}

TEST(BackupSchedule, AFailedOneIsTriedAgainLessAndLessOften) {
  const auto due = [](uint32_t failures) {
    return *next_backup(kHourly, {.good = kMidnight - hours(5), .attempted = kMidnight, .failures = failures},
                        kMidnight);
  };
  EXPECT_EQ(due(1), kMidnight + minutes(5));
  EXPECT_EQ(due(2), kMidnight + minutes(10));
  EXPECT_EQ(due(30), kMidnight + minutes(60));
}

TEST(BackupSchedule, AClockThatWasSetBackStopsNothing) {
  EXPECT_EQ(
      next_backup(kHourly, {.good = kMidnight + days(400), .attempted = kMidnight + days(400), .failures = 3},
                  kMidnight),
      kMidnight);
}

}  // namespace
}  // namespace terrace::database

#include "health/check_schedule.h"

#include <gtest/gtest.h>

namespace terrace::health {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class CheckScheduleTest : public testing::Test {
 protected:
  // The next check, at its time, which takes `lasting`.
  bool check(bool success, Duration lasting = {}) {
    if (schedule_.next() > clock_.now()) clock_.advance(schedule_.next() - clock_.now());
    clock_.advance(lasting);
    return schedule_.checked(success, clock_.now());
  }
  Duration pause() const { return schedule_.next() - clock_.now(); }

  VirtualClock clock_;
  Random random_{1};
  CheckPlan plan_ = CheckPlan::every(seconds(2), {.rise = 2, .fall = 3});
  CheckSchedule schedule_{plan_, random_, clock_.now()};
};

TEST_F(CheckScheduleTest, TheFirstCheckIsDueAtOnceAndTheNextWithinTheInterval) {
  EXPECT_EQ(schedule_.next(), clock_.now());
  EXPECT_TRUE(check(true));
  EXPECT_EQ(schedule_.health(), Health::kHealthy);
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(check(true));
    EXPECT_LE(pause(), seconds(2));
    EXPECT_GE(pause(), milliseconds(1800));
  }
}

TEST_F(CheckScheduleTest, OneFailureIsDoubtAndDoubtIsCheckedSoon) {
  check(true);
  EXPECT_TRUE(check(false));
  EXPECT_TRUE(schedule_.doubt());
  EXPECT_EQ(pause(), milliseconds(250));
  EXPECT_TRUE(check(true));
  EXPECT_FALSE(schedule_.doubt());
}

TEST_F(CheckScheduleTest, OneThatFallsSilentIsDownWithinTheIntervalTimesFall) {
  for (int world = 0; world < 100; ++world) {
    check(true);
    check(true);
    check(true);
    const Time silent = clock_.now();
    while (schedule_.health() == Health::kHealthy) check(false, plan_.timeout);
    EXPECT_LE(clock_.now() - silent, seconds(2) * 3);
  }
}

TEST_F(CheckScheduleTest, OneThatIsDownIsAskedAtTheIntervalAndSoonOnceItAnswers) {
  for (int i = 0; i < 3; ++i) check(false);
  EXPECT_EQ(schedule_.health(), Health::kUnhealthy);
  EXPECT_GE(pause(), milliseconds(1800));
  EXPECT_FALSE(check(true));
  EXPECT_EQ(pause(), milliseconds(250));
  EXPECT_TRUE(check(true));
  EXPECT_EQ(schedule_.health(), Health::kHealthy);
}

TEST_F(CheckScheduleTest, AFailedRequestBringsTheNextChecksForward) {
  check(true);
  clock_.advance(seconds(1));
  schedule_.suspect(clock_.now());
  EXPECT_EQ(schedule_.next(), clock_.now());
  for (int i = 0; i < 2; ++i) {
    check(true);
    EXPECT_EQ(pause(), milliseconds(250));
  }
  check(true);
  EXPECT_GE(pause(), milliseconds(1800));
}

TEST_F(CheckScheduleTest, ManyFailedRequestsAreNoFloodOfChecks) {
  check(true);
  const Time last = clock_.now();
  for (int i = 0; i < 100; ++i) schedule_.suspect(clock_.now());
  EXPECT_EQ(schedule_.next(), last + milliseconds(250));
}

TEST_F(CheckScheduleTest, AnotherPlanCountsFromTheNextCheckOn) {
  check(true);
  schedule_.set_plan(CheckPlan::every(milliseconds(400), {.rise = 1, .fall = 1}));
  EXPECT_LE(pause(), milliseconds(400));
  EXPECT_TRUE(check(false));
  EXPECT_EQ(schedule_.health(), Health::kUnhealthy);
}

}  // namespace
}  // namespace terrace::health

#include "app/lifecycle.h"

#include <gtest/gtest.h>

#include "app/lifecycle_fixture.h"

namespace terrace::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;

TEST_F(LifecycleTest, StartsEverySlotAndTakesTrafficWhenHealthy) {
  lifecycle_.configure(plan(2), clock_.now());
  EXPECT_THAT(actions(), ElementsAre("start 0.1", "publish 0.1", "start 1.2", "publish 1.2"));
  EXPECT_EQ(phase(0, 1), MemberPhase::kStarting);
  healthy(0, 1);
  EXPECT_THAT(actions(), ElementsAre("publish 0.1"));
  EXPECT_EQ(phase(0, 1), MemberPhase::kUp);
}

TEST_F(LifecycleTest, WithoutAGraceSendsNoFloodOfSignals) {
  LifecyclePlan impatient = plan(1);
  impatient.grace = Duration::zero();
  lifecycle_.configure(impatient, clock_.now());
  actions();
  lifecycle_.configure({.instances = 0, .recipe = 1, .grace = Duration::zero()}, clock_.now());
  EXPECT_THAT(actions(), ElementsAre("withdraw 0.1", "terminate 0.1"));
  advance(Duration::zero());
  EXPECT_THAT(actions(), ElementsAre("kill 0.1"));
  EXPECT_EQ(*lifecycle_.next() - clock_.now(), kKillAgain);
}

TEST_F(LifecycleTest, RestartsAfterDelaysThatGrowToHalfAMinute) {
  lifecycle_.configure(plan(1), clock_.now());
  actions();
  std::vector<int64_t> delays;
  for (uint32_t generation = 1; generation <= 11; ++generation) {
    ended(0, generation);
    const Time due = *lifecycle_.next();
    delays.push_back(std::chrono::duration_cast<milliseconds>(due - clock_.now()).count());
    advance(due - clock_.now() - milliseconds(1));
    EXPECT_EQ(lifecycle_.find(0, generation + 1), nullptr);
    advance(milliseconds(1));
    EXPECT_NE(lifecycle_.find(0, generation + 1), nullptr);
  }
  EXPECT_THAT(delays, ElementsAre(100, 200, 400, 800, 1600, 3200, 6400, 12'800, 25'600, 30'000, 30'000));
}

TEST_F(LifecycleTest, AStableMinuteForgetsTheEndsBefore) {
  lifecycle_.configure(plan(1), clock_.now());
  ended(0, 1);
  advance(milliseconds(100));
  ended(0, 2);
  advance(milliseconds(200));
  healthy(0, 3);
  advance(kStableLife);
  ended(0, 3);
  EXPECT_EQ(*lifecycle_.next() - clock_.now(), kRestartDelayFirst);
}

TEST_F(LifecycleTest, FiveEndsWithinAMinuteAreACrashLoopUntilOneLivesForAMinute) {
  lifecycle_.configure(plan(1), clock_.now());
  for (uint32_t generation = 1; generation <= 4; ++generation) {
    ended(0, generation);
    advance(seconds(2));
  }
  EXPECT_FALSE(lifecycle_.slots()[0].crash_loop);
  actions();
  ended(0, 5);
  EXPECT_THAT(actions(), ElementsAre("withdraw 0.5", "crash-loop 0.0"));
  EXPECT_TRUE(lifecycle_.slots()[0].crash_loop);
  advance(seconds(2));
  healthy(0, 6);
  advance(kStableLife - seconds(1));
  EXPECT_TRUE(lifecycle_.slots()[0].crash_loop);
  advance(seconds(1));
  EXPECT_FALSE(lifecycle_.slots()[0].crash_loop);
}

TEST_F(LifecycleTest, OneThatIsNeverHealthyIsReplacedAfterItsTime) {
  lifecycle_.configure(plan(1), clock_.now());
  actions();
  advance(seconds(60));
  EXPECT_THAT(actions(), ElementsAre("timed-out 0.1", "withdraw 0.1", "terminate 0.1"));
  advance(milliseconds(100));
  EXPECT_THAT(actions(), ElementsAre("start 0.2", "publish 0.2"));
  advance(seconds(30));
  EXPECT_THAT(actions(), ElementsAre("kill 0.1"));
}

TEST_F(LifecycleTest, OneThatFailsItsChecksGetsNoTrafficUntilItPassesThem) {
  lifecycle_.configure(plan(1), clock_.now());
  healthy(0, 1);
  actions();
  lifecycle_.unhealthy(0, 1, clock_.now());
  EXPECT_THAT(actions(), ElementsAre("publish 0.1"));
  EXPECT_EQ(phase(0, 1), MemberPhase::kUnwell);
  advance(seconds(59));
  healthy(0, 1);
  EXPECT_EQ(phase(0, 1), MemberPhase::kUp);
  lifecycle_.unhealthy(0, 1, clock_.now());
  actions();
  advance(seconds(60));
  EXPECT_THAT(actions(), ElementsAre("unhealthy 0.1", "withdraw 0.1", "terminate 0.1"));
}

TEST_F(LifecycleTest, RollsOneSlotAfterTheOtherAndNeverHasFewerThanBefore) {
  two_up();
  lifecycle_.roll(clock_.now());
  EXPECT_THAT(actions(), ElementsAre("note 0.1", "note 1.2", "start 0.3", "publish 0.3"));
  healthy(0, 3);
  EXPECT_THAT(actions(), ElementsAre("publish 0.3", "publish 0.1"));
  EXPECT_EQ(phase(0, 1), MemberPhase::kDraining);
  drained(0, 1);
  EXPECT_THAT(actions(), ElementsAre("withdraw 0.1", "terminate 0.1"));
  ended(0, 1);
  EXPECT_THAT(actions(), ElementsAre("withdraw 0.1", "start 1.4", "publish 1.4"));
  healthy(1, 4);
  drained(1, 2);
  actions();
  EXPECT_TRUE(lifecycle_.slots()[1].retiring.size() == 1);
  ended(1, 2);
  EXPECT_THAT(actions(), ElementsAre("withdraw 1.2", "rolled 0.0"));
  EXPECT_FALSE(lifecycle_.rolling());
}

TEST_F(LifecycleTest, TheOldOneStaysWhenItsReplacementDoesNotBecomeHealthy) {
  two_up();
  lifecycle_.configure(plan(2, 2), clock_.now());
  actions();
  ended(0, 3);
  EXPECT_THAT(actions(), ElementsAre("withdraw 0.3", "roll-failed 0.3"));
  EXPECT_EQ(phase(0, 1), MemberPhase::kUp);
  EXPECT_EQ(phase(1, 2), MemberPhase::kUp);
  EXPECT_FALSE(lifecycle_.rolling());
}

TEST_F(LifecycleTest, AReplacementThatHangsIsGivenUpAfterItsTime) {
  two_up();
  lifecycle_.roll(clock_.now());
  actions();
  advance(seconds(60));
  EXPECT_THAT(actions(), ElementsAre("timed-out 0.3", "withdraw 0.3", "terminate 0.3", "note 0.1", "note 1.2",
                                     "roll-failed 0.3"));
}

TEST_F(LifecycleTest, DrainingEndsAfterItsLimit) {
  two_up();
  lifecycle_.roll(clock_.now());
  healthy(0, 3);
  actions();
  advance(kDrainMax);
  EXPECT_THAT(actions(), ElementsAre("withdraw 0.1", "terminate 0.1"));
}

TEST_F(LifecycleTest, FewerInstancesRetireAndMoreStart) {
  two_up();
  lifecycle_.configure(plan(1), clock_.now());
  EXPECT_THAT(actions(), ElementsAre("publish 1.2"));
  EXPECT_EQ(phase(1, 2), MemberPhase::kDraining);
  drained(1, 2);
  ended(1, 2);
  actions();
  lifecycle_.configure(plan(3), clock_.now());
  EXPECT_THAT(actions(), ElementsAre("start 1.3", "publish 1.3", "start 2.4", "publish 2.4"));
}

TEST_F(LifecycleTest, ARollStartsAWaitingSlotAtOnceAndIsDoneWhenThatIsHealthy) {
  lifecycle_.configure(plan(1), clock_.now());
  ended(0, 1);
  actions();
  lifecycle_.roll(clock_.now());
  EXPECT_THAT(actions(), ElementsAre("start 0.2", "publish 0.2"));
  healthy(0, 2);
  EXPECT_THAT(actions(), ElementsAre("publish 0.2", "rolled 0.0"));
}

TEST_F(LifecycleTest, ASuccessorAdoptsWhatRunsAndStartsNothing) {
  lifecycle_.adopt(0, {.generation = 7, .recipe = 1, .phase = MemberPhase::kUp}, clock_.now());
  lifecycle_.adopt(1, {.generation = 8, .recipe = 1, .phase = MemberPhase::kStarting}, clock_.now());
  lifecycle_.configure(plan(2), clock_.now());
  EXPECT_THAT(actions(), ElementsAre("publish 0.7", "publish 1.8"));
  ended(0, 7);
  advance(milliseconds(100));
  EXPECT_THAT(actions(), ElementsAre("withdraw 0.7", "start 0.9", "publish 0.9"));
}

TEST_F(LifecycleTest, ASuccessorGoesOnWithARoll) {
  const Time now = clock_.now();
  lifecycle_.adopt(0, {.generation = 3, .recipe = 2, .phase = MemberPhase::kStarting, .started = now}, now);
  lifecycle_.adopt(0, {.generation = 1, .recipe = 1, .phase = MemberPhase::kUp, .started = now}, now);
  lifecycle_.adopt(1, {.generation = 2, .recipe = 1, .phase = MemberPhase::kUp, .started = now}, now);
  lifecycle_.configure(plan(2, 2), now);
  actions();
  healthy(0, 3);
  drained(0, 1);
  ended(0, 1);
  EXPECT_THAT(actions(), ElementsAre("publish 0.3", "publish 0.1", "withdraw 0.1", "terminate 0.1",
                                     "withdraw 0.1", "start 1.4", "publish 1.4"));
}

TEST_F(LifecycleTest, AfterStopNothingStartsAgain) {
  two_up();
  lifecycle_.stop();
  ended(0, 1);
  advance(seconds(60));
  EXPECT_THAT(actions(), ElementsAre("withdraw 0.1"));
  EXPECT_EQ(lifecycle_.next(), std::nullopt);
}

}  // namespace
}  // namespace terrace::app

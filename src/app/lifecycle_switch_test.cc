#include <gtest/gtest.h>

#include "app/lifecycle_fixture.h"

namespace terrace::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

class LifecycleSwitchTest : public LifecycleTest {
 protected:
  // Generations 1 and 2 of recipe 1 serve; 3 and 4 of recipe 2 start beside them.
  void switch_begun() {
    two_up();
    ASSERT_TRUE(lifecycle_.switch_over(plan(2, 2), clock_.now()));
    actions();
  }
  // 3 and 4 serve; 1 and 2 stand by.
  void baking() {
    switch_begun();
    healthy(0, 3);
    healthy(1, 4);
    drained(0, 1);
    drained(1, 2);
    actions();
  }
  void adopt(uint32_t slot, uint32_t generation, uint64_t recipe, MemberPhase phase, bool replace = false) {
    lifecycle_.adopt(
        slot,
        {.generation = generation, .recipe = recipe, .phase = phase, .deadline = {}, .replace = replace},
        clock_.now());
  }
};

TEST_F(LifecycleSwitchTest, SwitchesAllInOneStepWhenTheLastOneIsHealthy) {
  two_up();
  EXPECT_TRUE(lifecycle_.switch_over(plan(2, 2), clock_.now()));
  EXPECT_THAT(actions(), ElementsAre("start 0.3", "publish 0.3", "start 1.4", "publish 1.4"));
  healthy(1, 4);
  EXPECT_THAT(actions(), ElementsAre("note 1.4"));
  EXPECT_EQ(phase(1, 4), MemberPhase::kReady);
  EXPECT_EQ(phase(1, 2), MemberPhase::kUp);
  healthy(0, 3);
  EXPECT_THAT(actions(),
              ElementsAre("switched 0.0", "publish 0.3", "publish 1.4", "publish 0.1", "publish 1.2"));
  EXPECT_EQ(phase(0, 3), MemberPhase::kUp);
  EXPECT_EQ(phase(0, 1), MemberPhase::kDraining);
  EXPECT_TRUE(lifecycle_.baking());
  EXPECT_FALSE(lifecycle_.switching());
  EXPECT_FALSE(lifecycle_.rolling());
}

TEST_F(LifecycleSwitchTest, TheOldOnesStandByUntilTheNewOnesAreKept) {
  baking();
  EXPECT_EQ(phase(0, 1), MemberPhase::kStandby);
  advance(seconds(3600));
  EXPECT_THAT(actions(), IsEmpty());
  lifecycle_.keep(clock_.now());
  EXPECT_THAT(actions(), ElementsAre("withdraw 0.1", "terminate 0.1", "withdraw 1.2", "terminate 1.2"));
  ended(0, 1);
  ended(1, 2);
  EXPECT_THAT(actions(), ElementsAre("withdraw 0.1", "withdraw 1.2"));
  EXPECT_FALSE(lifecycle_.baking());
}

TEST_F(LifecycleSwitchTest, GoingBackPutsTheOldOnesBackAtOnce) {
  baking();
  lifecycle_.go_back(clock_.now());
  EXPECT_THAT(actions(),
              ElementsAre("went-back 0.0", "publish 0.1", "publish 1.2", "publish 0.3", "publish 1.4"));
  EXPECT_EQ(phase(0, 1), MemberPhase::kUp);
  EXPECT_EQ(phase(0, 3), MemberPhase::kDraining);
  drained(0, 3);
  EXPECT_THAT(actions(), ElementsAre("withdraw 0.3", "terminate 0.3"));
  // From now on a slot is started with the old recipe again.
  ended(0, 1);
  advance(milliseconds(100));
  EXPECT_EQ(lifecycle_.find(0, 5)->recipe, 1u);
}

TEST_F(LifecycleSwitchTest, GoingBackDuringTheDrainNeedsNoEndOfIt) {
  switch_begun();
  healthy(0, 3);
  healthy(1, 4);
  lifecycle_.go_back(clock_.now());
  EXPECT_EQ(phase(0, 1), MemberPhase::kUp);
  drained(0, 1);  // was on its way
  EXPECT_EQ(phase(0, 1), MemberPhase::kUp);
}

TEST_F(LifecycleSwitchTest, GoingBackStartsWhatIsNoLongerThereOrNotWell) {
  baking();
  ended(0, 1);
  EXPECT_THAT(actions(), ElementsAre("withdraw 0.1"));
  advance(seconds(60));
  EXPECT_THAT(actions(), IsEmpty());
  unhealthy(1, 2);
  lifecycle_.go_back(clock_.now());
  EXPECT_THAT(actions(),
              ElementsAre("went-back 0.0", "publish 0.3", "start 0.5", "publish 0.5", "publish 1.4",
                          "withdraw 1.2", "terminate 1.2", "start 1.6", "publish 1.6"));
  EXPECT_EQ(lifecycle_.find(0, 5)->recipe, 1u);
}

TEST_F(LifecycleSwitchTest, ACandidateThatEndsLeavesTheOldOnesUntouched) {
  switch_begun();
  healthy(0, 3);
  actions();
  ended(1, 4);
  EXPECT_THAT(actions(), ElementsAre("withdraw 1.4", "switch-failed 1.4", "withdraw 0.3", "terminate 0.3"));
  EXPECT_EQ(phase(0, 1), MemberPhase::kUp);
  EXPECT_EQ(phase(1, 2), MemberPhase::kUp);
  EXPECT_FALSE(lifecycle_.switching());
  EXPECT_FALSE(lifecycle_.baking());
  EXPECT_EQ(lifecycle_.plan().recipe, 1u);
}

TEST_F(LifecycleSwitchTest, ACandidateThatIsNotHealthyInTimeIsGivenUp) {
  switch_begun();
  healthy(0, 3);
  actions();
  advance(seconds(60));
  EXPECT_THAT(actions(), ElementsAre("timed-out 1.4", "switch-failed 1.4", "withdraw 0.3", "terminate 0.3",
                                     "withdraw 1.4", "terminate 1.4"));
}

TEST_F(LifecycleSwitchTest, ACandidateThatFallsIllBeforeTheSwitchHasToRecoverInTime) {
  switch_begun();
  healthy(0, 3);
  unhealthy(0, 3);
  healthy(1, 4);
  EXPECT_TRUE(lifecycle_.switching());
  healthy(0, 3);
  EXPECT_TRUE(lifecycle_.baking());
}

TEST_F(LifecycleSwitchTest, AnOldOneThatCrashesDuringTheSwitchIsStartedWithItsOwnRecipe) {
  switch_begun();
  ended(0, 1);
  advance(milliseconds(100));
  EXPECT_THAT(actions(), ElementsAre("withdraw 0.1", "start 0.5", "publish 0.5"));
  EXPECT_EQ(lifecycle_.find(0, 5)->recipe, 1u);
  healthy(0, 3);
  healthy(1, 4);
  actions();
  // It never was healthy: nothing to come back to.
  EXPECT_EQ(phase(0, 5), MemberPhase::kStopping);
  ended(0, 3);
  advance(milliseconds(100));
  EXPECT_EQ(lifecycle_.find(0, 6)->recipe, 2u);
}

TEST_F(LifecycleSwitchTest, TheNewPlanMayHaveMoreOrFewerSlots) {
  two_up();
  EXPECT_TRUE(lifecycle_.switch_over(plan(1, 2), clock_.now()));
  healthy(0, 3);
  EXPECT_TRUE(lifecycle_.baking());
  EXPECT_EQ(phase(1, 2), MemberPhase::kDraining);
  lifecycle_.keep(clock_.now());
  drained(1, 2);
  ended(1, 2);
  EXPECT_FALSE(lifecycle_.slots()[1].current);
  EXPECT_TRUE(lifecycle_.switch_over(plan(3, 3), clock_.now()));
  for (uint32_t slot = 0; slot < 3; ++slot) healthy(slot, slot + 4);
  EXPECT_EQ(phase(2, 6), MemberPhase::kUp);
  lifecycle_.go_back(clock_.now());
  EXPECT_EQ(phase(0, 3), MemberPhase::kUp);
  EXPECT_FALSE(lifecycle_.slots()[2].current);
}

TEST_F(LifecycleSwitchTest, WithoutInstancesThereIsNothingToWaitFor) {
  two_up();
  EXPECT_TRUE(lifecycle_.switch_over(plan(0, 2), clock_.now()));
  EXPECT_THAT(actions(), ElementsAre("switched 0.0", "publish 0.1", "publish 1.2"));
}

TEST_F(LifecycleSwitchTest, ARequestWithoutEndKeepsNothingBack) {
  switch_begun();
  healthy(0, 3);
  healthy(1, 4);
  advance(kDrainMax);
  EXPECT_EQ(phase(0, 1), MemberPhase::kStandby);
  EXPECT_EQ(lifecycle_.next(), std::nullopt);
  lifecycle_.keep(clock_.now());
  EXPECT_EQ(phase(0, 1), MemberPhase::kStopping);
}

TEST_F(LifecycleSwitchTest, OnlyOneSwitchAtATimeAndNoRollBesideIt) {
  switch_begun();
  EXPECT_FALSE(lifecycle_.switch_over(plan(2, 3), clock_.now()));
  lifecycle_.configure(plan(2, 4), clock_.now());
  EXPECT_THAT(actions(), IsEmpty());
  lifecycle_.cancel_switch(clock_.now());
  // The roll that was asked for meanwhile.
  EXPECT_THAT(actions(), ElementsAre("switch-failed 0.0", "withdraw 0.3", "terminate 0.3", "withdraw 1.4",
                                     "terminate 1.4", "start 0.5", "publish 0.5"));
}

TEST_F(LifecycleSwitchTest, ASwitchEndsARollThatIsUnderWay) {
  two_up();
  lifecycle_.roll(clock_.now());
  actions();
  EXPECT_TRUE(lifecycle_.switch_over(plan(2, 2), clock_.now()));
  EXPECT_THAT(actions(),
              ElementsAre("note 0.1", "note 1.2", "roll-failed 0.0", "withdraw 0.3", "terminate 0.3",
                          "start 0.4", "publish 0.4", "start 1.5", "publish 1.5"));
}

TEST_F(LifecycleSwitchTest, ASecondSwitchDuringTheBakeKeepsTheFirst) {
  baking();
  EXPECT_TRUE(lifecycle_.switch_over(plan(2, 3), clock_.now()));
  EXPECT_THAT(actions(), ElementsAre("withdraw 0.1", "terminate 0.1", "withdraw 1.2", "terminate 1.2",
                                     "start 0.5", "publish 0.5", "start 1.6", "publish 1.6"));
}

// ---- a new controller in the middle

TEST_F(LifecycleSwitchTest, ASuccessorUndoesASwitchThatWasNotNoted) {
  adopt(0, 1, 1, MemberPhase::kUp);
  adopt(0, 3, 2, MemberPhase::kReady);
  adopt(1, 2, 1, MemberPhase::kUp);
  adopt(1, 4, 2, MemberPhase::kStarting);
  lifecycle_.configure(plan(2, 1), clock_.now());
  EXPECT_THAT(actions(), ElementsAre("publish 0.1", "withdraw 0.3", "terminate 0.3", "publish 1.2",
                                     "withdraw 1.4", "terminate 1.4"));
  EXPECT_FALSE(lifecycle_.rolling());
}

TEST_F(LifecycleSwitchTest, ASuccessorCompletesASwitchThatWasNoted) {
  adopt(0, 1, 1, MemberPhase::kUp);
  adopt(0, 3, 2, MemberPhase::kUp);
  adopt(1, 2, 1, MemberPhase::kUp);
  adopt(1, 4, 2, MemberPhase::kReady);
  lifecycle_.configure(plan(2, 2), clock_.now());
  EXPECT_THAT(actions(), ElementsAre("publish 0.3", "publish 0.1", "publish 1.4", "publish 1.2"));
  EXPECT_EQ(phase(1, 4), MemberPhase::kUp);
  EXPECT_EQ(phase(1, 2), MemberPhase::kDraining);
}

TEST_F(LifecycleSwitchTest, ASuccessorEndsTheBake) {
  adopt(0, 1, 1, MemberPhase::kStandby);
  adopt(0, 3, 2, MemberPhase::kUp);
  lifecycle_.configure(plan(1, 2), clock_.now());
  EXPECT_THAT(actions(), ElementsAre("publish 0.3", "withdraw 0.1", "terminate 0.1"));
}

TEST_F(LifecycleSwitchTest, ASuccessorCompletesGoingBack) {
  adopt(0, 1, 1, MemberPhase::kStandby);
  adopt(0, 3, 2, MemberPhase::kUp);
  adopt(1, 2, 1, MemberPhase::kDraining);
  adopt(1, 4, 2, MemberPhase::kUp);
  lifecycle_.configure(plan(2, 1), clock_.now());
  EXPECT_EQ(phase(0, 1), MemberPhase::kUp);
  EXPECT_EQ(phase(1, 2), MemberPhase::kUp);
  EXPECT_EQ(phase(0, 3), MemberPhase::kDraining);
  EXPECT_FALSE(lifecycle_.rolling());
}

TEST_F(LifecycleSwitchTest, ASuccessorGoesOnWithTheRemainingSlotsOfARestart) {
  adopt(0, 3, 1, MemberPhase::kUp);
  adopt(1, 2, 1, MemberPhase::kUp, true);
  lifecycle_.configure(plan(2, 1), clock_.now());
  EXPECT_THAT(actions(), ElementsAre("publish 0.3", "publish 1.2", "start 1.4", "publish 1.4"));
}

TEST_F(LifecycleSwitchTest, OneThatEndsBeforeTheSuccessorKnowsItsPlanIsStartedAgain) {
  adopt(0, 3, 1, MemberPhase::kUp);
  ended(0, 3);
  lifecycle_.configure(plan(1, 1), clock_.now());
  EXPECT_THAT(actions(), ElementsAre("start 0.4", "publish 0.4"));
}

TEST_F(LifecycleSwitchTest, OneThatBecomesHealthyBeforeTheSuccessorKnowsItsPlanCounts) {
  adopt(0, 3, 1, MemberPhase::kStarting);
  EXPECT_EQ(phase(0, 3), MemberPhase::kStarting);
  healthy(0, 3);
  lifecycle_.configure(plan(1, 1), clock_.now());
  EXPECT_EQ(phase(0, 3), MemberPhase::kUp);
}

// ---- hold

TEST_F(LifecycleSwitchTest, HoldingStopsAllAfterTheirRequestsAndReleasingStartsThemAgain) {
  two_up();
  lifecycle_.hold(clock_.now());
  EXPECT_THAT(actions(), ElementsAre("publish 0.1", "publish 1.2"));
  EXPECT_EQ(phase(0, 1), MemberPhase::kDraining);
  drained(0, 1);
  ended(0, 1);
  drained(1, 2);
  actions();
  lifecycle_.configure(plan(2), clock_.now());
  EXPECT_THAT(actions(), IsEmpty());
  ended(1, 2);
  EXPECT_THAT(actions(), ElementsAre("withdraw 1.2", "held 0.0"));
  advance(seconds(600));
  EXPECT_THAT(actions(), IsEmpty());
  lifecycle_.release(clock_.now());
  EXPECT_THAT(actions(), ElementsAre("start 0.3", "publish 0.3", "start 1.4", "publish 1.4"));
  healthy(0, 3);
  healthy(1, 4);
  EXPECT_THAT(actions(), ElementsAre("publish 0.3", "publish 1.4", "released 0.0"));
}

TEST_F(LifecycleSwitchTest, HoldingEndsASwitchAndABake) {
  switch_begun();
  lifecycle_.hold(clock_.now());
  EXPECT_THAT(actions(), ElementsAre("switch-failed 0.0", "withdraw 0.3", "terminate 0.3", "withdraw 1.4",
                                     "terminate 1.4", "publish 0.1", "publish 1.2"));
  EXPECT_FALSE(lifecycle_.switch_over(plan(2, 3), clock_.now()));
}

TEST_F(LifecycleSwitchTest, ASuccessorThatHoldsStopsWhatRunsAndStartsNothing) {
  adopt(0, 1, 1, MemberPhase::kUp);
  lifecycle_.hold(clock_.now());
  EXPECT_THAT(actions(), IsEmpty());
  lifecycle_.configure(plan(2), clock_.now());
  EXPECT_THAT(actions(), ElementsAre("publish 0.1", "publish 0.1"));
  drained(0, 1);
  ended(0, 1);
  EXPECT_THAT(actions(), ElementsAre("withdraw 0.1", "terminate 0.1", "withdraw 0.1", "held 0.0"));
}

}  // namespace
}  // namespace terrace::app

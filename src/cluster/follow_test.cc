#include "cluster/follow.h"

#include <gtest/gtest.h>

namespace terrace::cluster {
namespace {

using std::chrono::seconds;

Wanted wanted() { return {.version = 12, .has_release = true, .release = 7}; }
Here here() { return {.version = 12, .release = 7, .ready = {6, 7}}; }

TEST(Follow, AServerThatIsAsItShallBeDoesNothing) {
  EXPECT_EQ(next_step(wanted(), here()), FollowStep::kNothing);
}

TEST(Follow, AServerThatWasDownTakesTheSiteThenTheReleaseThenVisitors) {
  Here server{.version = 11, .release = 5, .ready = {5}, .drained = true};
  EXPECT_EQ(next_step(wanted(), server), FollowStep::kTakeSite);
  server.version = 12;
  EXPECT_EQ(next_step(wanted(), server), FollowStep::kFetchRelease);
  server.ready.push_back(7);
  EXPECT_EQ(next_step(wanted(), server), FollowStep::kSwitchRelease);
  server.release = 7;
  EXPECT_EQ(next_step(wanted(), server), FollowStep::kUndrain);
  server.drained = false;
  EXPECT_EQ(next_step(wanted(), server), FollowStep::kNothing);
}

TEST(Follow, AReleaseOnTrialIsTheDeploysMatter) {
  Wanted site = wanted();
  site.trial = 8;
  Here server = here();
  server.release = 8;
  EXPECT_EQ(next_step(site, server), FollowStep::kNothing);
  server.release = 5;
  EXPECT_EQ(next_step(site, server), FollowStep::kSwitchRelease) << "neither the old nor the new one";
}

TEST(Follow, AServerGoesBackWhenTheDeployIsNoMore) {
  Here server = here();
  server.release = 8;
  EXPECT_EQ(next_step(wanted(), server), FollowStep::kSwitchRelease);
}

TEST(Follow, WhereNothingWasEverDeployedItGoesBackToItsOwnFolder) {
  Wanted site = wanted();
  site.release = 0;
  Here server = here();
  EXPECT_EQ(next_step(site, server), FollowStep::kSwitchRelease);
  server.release = 0;
  EXPECT_EQ(next_step(site, server), FollowStep::kNothing);
}

TEST(Follow, WithoutARecordedReleaseItKeepsItsOwn) {
  Wanted site = wanted();
  site.has_release = false;
  Here server = here();
  server.release = 3;
  EXPECT_EQ(next_step(site, server), FollowStep::kNothing);
}

TEST(Follow, DrainingComesFirstAndDoesNotWaitForADeploy) {
  Wanted site = wanted();
  site.drained = true;
  Here server = here();
  server.busy = true;
  server.version = 3;
  EXPECT_EQ(next_step(site, server), FollowStep::kDrain);
  server.drained = true;
  EXPECT_EQ(next_step(site, server), FollowStep::kNothing);
  server.busy = false;
  EXPECT_EQ(next_step(site, server), FollowStep::kTakeSite) << "a drained server keeps up with the others";
}

TEST(Follow, AServerThatTheFileNoLongerNamesIsDrainedAndLeftAlone) {
  Wanted site = wanted();
  site.of_site = false;
  site.version = 13;
  site.release = 9;
  Here server = here();
  EXPECT_EQ(next_step(site, server), FollowStep::kDrain);
  server.drained = true;
  EXPECT_EQ(next_step(site, server), FollowStep::kNothing);
}

TEST(Follow, ABusyServerIsNotInterrupted) {
  Here server = here();
  server.version = 11;
  server.busy = true;
  EXPECT_EQ(next_step(wanted(), server), FollowStep::kNothing);
}

TEST(DeployPulse, IsDeadWhenTheNoteStaysTheSameForTooLong) {
  DeployPulse pulse;
  Time now{};
  pulse.see(5, now);
  now += kDeployPatience - seconds(1);
  pulse.see(5, now);
  EXPECT_FALSE(pulse.is_dead(now));
  pulse.see(6, now);
  now += kDeployPatience;
  EXPECT_TRUE(pulse.is_dead(now));
  pulse.see(0, now);
  EXPECT_FALSE(pulse.is_dead(now)) << "there is no deploy";
}

}  // namespace
}  // namespace terrace::cluster

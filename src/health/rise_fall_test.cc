#include "health/rise_fall.h"

#include <gtest/gtest.h>

namespace terrace::health {
namespace {

TEST(RiseFall, TheFirstSuccessIsEnoughAtTheStart) {
  RiseFall health;
  EXPECT_FALSE(health.probed(false));
  EXPECT_TRUE(health.probed(true));
  EXPECT_EQ(health.state(), Health::kHealthy);
}

TEST(RiseFall, OneFailureBetweenSuccessesChangesNothing) {
  RiseFall health(Health::kHealthy);
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(health.probed(false));
    EXPECT_FALSE(health.probed(false));
    EXPECT_FALSE(health.probed(true));
  }
  EXPECT_EQ(health.state(), Health::kHealthy);
}

TEST(RiseFall, FallsAfterThreeFailuresInARowAndRisesAfterTwoSuccesses) {
  RiseFall health(Health::kHealthy);
  EXPECT_FALSE(health.probed(false));
  EXPECT_FALSE(health.probed(false));
  EXPECT_TRUE(health.probed(false));
  EXPECT_EQ(health.state(), Health::kUnhealthy);
  EXPECT_FALSE(health.probed(true));
  EXPECT_TRUE(health.probed(true));
  EXPECT_EQ(health.state(), Health::kHealthy);
}

}  // namespace
}  // namespace terrace::health

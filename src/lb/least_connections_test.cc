#include "lb/least_connections.h"

#include <gtest/gtest.h>

#include "lb/policy_fixture.h"

namespace terrace::lb {
namespace {

TEST(LeastConnections, OnAQuietSiteSharesAreExact) {
  LeastConnections policy(0);
  EXPECT_EQ(count_picks(policy, loads_of({3, 2, 1}), BackendSet::first(3), 60),
            (std::vector<int>{30, 20, 10}));
}

TEST(LeastConnections, KeepsRequestsInFlightInProportionToTheWeights) {
  std::mt19937_64 random(test_seed());
  for (int world = 0; world < 50; ++world) {
    std::vector<uint32_t> weights(2 + random() % 6);
    for (uint32_t& weight : weights) weight = 1 + static_cast<uint32_t>(random() % 5);
    std::vector<Load> loads = loads_of(weights);
    LeastConnections policy(0);
    for (int i = 0; i < 500; ++i) {
      ++loads[policy.pick(loads, BackendSet::first(loads.size()), {}, Time{}).value()].in_flight;
      for (const Load& one : loads) {
        for (const Load& other : loads) {
          // One more here would not have been better there.
          ASSERT_LE((one.in_flight - std::min(one.in_flight, 1U)) * other.weight,
                    other.in_flight * one.weight);
        }
      }
    }
  }
}

TEST(LeastConnections, ABackendThatComesIsFilledFirstAndOneThatGoesLeavesTheOthersEven) {
  LeastConnections policy(0);
  std::vector<Load> loads = loads_of({1, 1, 1});
  loads[0].in_flight = loads[1].in_flight = 10;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(policy.pick(loads, BackendSet::first(3), {}, Time{}), 2);
    ++loads[2].in_flight;
  }
  for (int i = 0; i < 10; ++i)
    ++loads[policy.pick(loads, BackendSet::first(2), {}, Time{}).value()].in_flight;
  EXPECT_EQ(loads[0].in_flight, 15U);
  EXPECT_EQ(loads[1].in_flight, 15U);
}

TEST(LeastConnections, GivesNothingToWeightZero) {
  LeastConnections policy(0);
  std::vector<Load> loads = loads_of({1, 0});
  loads[0].in_flight = 100;
  EXPECT_EQ(policy.pick(loads, BackendSet::first(2), {}, Time{}), 0);
  EXPECT_FALSE(policy.pick(loads_of({0, 0}), BackendSet::first(2), {}, Time{}));
}

}  // namespace
}  // namespace terrace::lb

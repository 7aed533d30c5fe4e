#include "lb/consistent_hash.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lb/policy_fixture.h"

namespace terrace::lb {
namespace {

constexpr int kKeys = 20'000;

uint64_t key(int i) { return hash64(std::to_string(i), 1); }

std::vector<size_t> places(const std::vector<Load>& loads, BackendSet open) {
  ConsistentHash policy(ConsistentHash::Loads::kUnbounded, 0);
  std::vector<size_t> placed;
  for (int i = 0; i < kKeys; ++i) placed.push_back(policy.pick(loads, open, key(i), Time{}).value());
  return placed;
}

TEST(ConsistentHash, SharesFollowTheWeights) {
  const std::vector<uint32_t> weights = {1, 2, 3, 4};
  std::vector<int> count(4);
  for (const size_t place : places(loads_of(weights), BackendSet::first(4))) ++count[place];
  // Five standard deviations of a binomial.
  for (size_t i = 0; i < 4; ++i) {
    const double share = weights[i] / 10.0;
    EXPECT_NEAR(count[i], kKeys * share, 5 * std::sqrt(kKeys * share * (1 - share)));
  }
}

TEST(ConsistentHash, WhenOneGoesOnlyItsKeysMoveAndEvenly) {
  const std::vector<Load> loads = loads_of({1, 1, 1, 1, 1});
  const std::vector<size_t> before = places(loads, BackendSet::first(5));
  BackendSet without_third = BackendSet::first(5);
  without_third.remove(2);
  const std::vector<size_t> after = places(loads, without_third);
  std::vector<int> moved(5);
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i] != 2) {
      ASSERT_EQ(after[i], before[i]);
    } else {
      ++moved[after[i]];
    }
  }
  for (size_t i : without_third) EXPECT_NEAR(moved[i], kKeys / 20, kKeys / 100);
}

TEST(ConsistentHash, WhenAWeightRisesKeysMoveToThatBackendOnly) {
  const std::vector<size_t> before = places(loads_of({2, 2, 2}), BackendSet::first(3));
  const std::vector<size_t> after = places(loads_of({2, 3, 2}), BackendSet::first(3));
  for (size_t i = 0; i < before.size(); ++i) ASSERT_TRUE(after[i] == before[i] || after[i] == 1);
}

TEST(ConsistentHash, TheOrderOfTheBackendsInTheFileDoesNotMatter) {
  std::vector<Load> loads = loads_of({1, 2, 1});
  const std::vector<size_t> before = places(loads, BackendSet::first(3));
  std::swap(loads[0], loads[2]);
  const std::vector<size_t> after = places(loads, BackendSet::first(3));
  for (size_t i = 0; i < before.size(); ++i) ASSERT_EQ(after[i], 2 - before[i]);
}

TEST(ConsistentHash, NobodyHasMoreInFlightThanItsBound) {
  std::mt19937_64 random(test_seed());
  for (int world = 0; world < 20; ++world) {
    std::vector<uint32_t> weights(2 + random() % 10);
    uint32_t total = 0;
    for (uint32_t& weight : weights) total += weight = 1 + static_cast<uint32_t>(random() % 4);
    std::vector<Load> loads = loads_of(weights);
    ConsistentHash policy(ConsistentHash::Loads::kBounded, 0);
    for (uint32_t in_flight = 1; in_flight <= 1000; ++in_flight) {
      // Half of all requests have the same key.
      const uint64_t one = in_flight % 2 == 0 ? 1 : random();
      const size_t to = policy.pick(loads, BackendSet::first(loads.size()), one, Time{}).value();
      ++loads[to].in_flight;
      const double bound =
          std::ceil(ConsistentHash::kLoadFactor * in_flight * weights[to] / static_cast<double>(total));
      ASSERT_LE(loads[to].in_flight, std::max(bound, 1.0 * ConsistentHash::kLoadFloor));
    }
  }
}

TEST(ConsistentHash, BelowTheBoundEveryKeyStaysAtItsBackend) {
  ConsistentHash policy(ConsistentHash::Loads::kBounded, 0);
  std::vector<Load> loads = loads_of({1, 1, 1});
  const size_t home = policy.pick(loads, BackendSet::first(3), key(1), Time{}).value();
  for (uint32_t i = 0; i < ConsistentHash::kLoadFloor; ++i) {
    EXPECT_EQ(policy.pick(loads, BackendSet::first(3), key(1), Time{}), home);
    ++loads[home].in_flight;
  }
  EXPECT_NE(policy.pick(loads, BackendSet::first(3), key(1), Time{}), home);
}

TEST(ConsistentHash, WithoutAKeyRequestsGoRound) {
  ConsistentHash policy(ConsistentHash::Loads::kBounded, 0);
  EXPECT_EQ(count_picks(policy, loads_of({1, 1, 1}), BackendSet::first(3), 30),
            (std::vector<int>{10, 10, 10}));
}

TEST(ConsistentHash, GivesNothingToWeightZero) {
  for (const size_t place : places(loads_of({1, 0, 1}), BackendSet::first(3))) ASSERT_NE(place, 1U);
  ConsistentHash policy(ConsistentHash::Loads::kBounded, 0);
  EXPECT_FALSE(policy.pick(loads_of({0, 0}), BackendSet::first(2), key(1), Time{}));
}

}  // namespace
}  // namespace terrace::lb

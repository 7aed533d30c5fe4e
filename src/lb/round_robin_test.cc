#include "lb/round_robin.h"

#include <gtest/gtest.h>

#include <numeric>

#include "lb/policy_fixture.h"

namespace terrace::lb {
namespace {

TEST(RoundRobin, GoesRoundAmongEqualsAndBeginsWithTheGivenOne) {
  RoundRobin policy(1);
  const std::vector<Load> loads = loads_of({1, 1, 1});
  std::vector<size_t> order;
  for (int i = 0; i < 6; ++i) order.push_back(policy.pick(loads, BackendSet::first(3)).value());
  EXPECT_EQ(order, (std::vector<size_t>{1, 2, 0, 1, 2, 0}));
}

TEST(RoundRobin, SpreadsAHeavyBackendOverTheRound) {
  RoundRobin policy(0);
  const std::vector<Load> loads = loads_of({5, 1, 1});
  std::vector<size_t> order;
  for (int i = 0; i < 7; ++i) order.push_back(policy.pick(loads, BackendSet::first(3)).value());
  EXPECT_EQ(order, (std::vector<size_t>{0, 0, 1, 0, 2, 0, 0}));
}

TEST(RoundRobin, GivesExactSharesInEachRoundAndNobodyARequestTooMuch) {
  std::mt19937_64 random(test_seed());
  for (int world = 0; world < 100; ++world) {
    std::vector<uint32_t> weights(1 + random() % 12);
    for (uint32_t& weight : weights) weight = 1 + static_cast<uint32_t>(random() % 20);
    const uint32_t total = std::accumulate(weights.begin(), weights.end(), 0U);
    const std::vector<Load> loads = loads_of(weights);
    RoundRobin policy(random() % weights.size());
    std::vector<uint32_t> count(weights.size());
    for (uint32_t n = 1; n <= 3 * total; ++n) {
      ++count[policy.pick(loads, BackendSet::first(loads.size())).value()];
      for (size_t i = 0; i < weights.size(); ++i) {
        ASSERT_LT(count[i], 1.0 * n * weights[i] / total + 1);
        if (n % total == 0) ASSERT_EQ(count[i], n / total * weights[i]);
      }
    }
  }
}

TEST(RoundRobin, OneThatComesOrGoesCostsNoOtherMoreThanOneRequest) {
  std::mt19937_64 random(test_seed());
  for (int world = 0; world < 100; ++world) {
    const std::vector<Load> loads = loads_of({1, 1, 1, 1, 1});
    RoundRobin policy(0);
    BackendSet open = BackendSet::first(5);
    for (int change = 0; change < 20; ++change) {
      const size_t one = random() % 5;
      open.set(one, !open.contains(one) || open.size() == 1);
      const int rounds = 1 + static_cast<int>(random() % 10);
      const std::vector<int> count = count_picks(policy, loads, open, rounds * static_cast<int>(open.size()));
      for (size_t i : open) ASSERT_NEAR(count[i], rounds, 1);
    }
  }
}

TEST(RoundRobin, ADebtFromAmongHeavierBackendsIsSoonPaid) {
  RoundRobin policy(0);
  const std::vector<Load> loads = loads_of({1, 1, 200});
  count_picks(policy, loads, BackendSet::first(3), 130);
  const std::vector<int> count = count_picks(policy, loads, BackendSet::first(2), 100);
  EXPECT_NEAR(count[0], 50, 5);
}

TEST(RoundRobin, GivesNothingToWeightZero) {
  RoundRobin policy(0);
  const std::vector<int> count = count_picks(policy, loads_of({1, 0, 1}), BackendSet::first(3), 10);
  EXPECT_EQ(count, (std::vector<int>{5, 0, 5}));
  EXPECT_FALSE(policy.pick(loads_of({0, 0}), BackendSet::first(2)));
  EXPECT_FALSE(policy.pick(loads_of({1, 1}), BackendSet()));
}

}  // namespace
}  // namespace terrace::lb

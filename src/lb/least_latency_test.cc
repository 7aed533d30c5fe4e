#include "lb/least_latency.h"

#include <gtest/gtest.h>

#include <queue>

#include "lb/policy_fixture.h"

namespace terrace::lb {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Backends that answer after a fixed time each, and a load of a constant rate.
class World {
 public:
  World(uint64_t seed, const std::vector<uint32_t>& weights, std::vector<Duration> latencies)
      : random_(seed), loads_(loads_of(weights)), latencies_(std::move(latencies)) {}

  std::vector<int> run(Duration time, int per_second) {
    std::vector<int> count(loads_.size());
    for (const Time end = now_ + time; now_ < end; now_ += Duration(seconds(1)) / per_second) {
      finish();
      const size_t one = policy_.pick(loads_, BackendSet::first(loads_.size()), {}, now_).value();
      ++loads_[one].in_flight;
      under_way_.push({now_ + latencies_[one], one});
      ++count[one];
    }
    return count;
  }
  void set_latency(size_t i, Duration latency) { latencies_[i] = latency; }
  void set_weight(size_t i, uint32_t weight) { loads_[i].weight = weight * kWeightUnit; }

 private:
  void finish() {
    while (!under_way_.empty() && under_way_.top().first <= now_) {
      const size_t one = under_way_.top().second;
      under_way_.pop();
      --loads_[one].in_flight;
      policy_.answered(one, latencies_[one], now_);
    }
  }

  using Answer = std::pair<Time, size_t>;
  Random random_;
  LeastLatency policy_{random_};
  std::vector<Load> loads_;
  std::vector<Duration> latencies_;
  Time now_{std::chrono::hours(1)};
  std::priority_queue<Answer, std::vector<Answer>, std::greater<>> under_way_;
};

TEST(LeastLatency, ABackendTenTimesSlowerGetsAFairTenth) {
  for (const int per_second : {20, 200, 2000}) {
    const uint64_t seed = test_seed();
    SCOPED_TRACE("TERRACE_SEED=" + std::to_string(seed) + " at " + std::to_string(per_second));
    World world(seed, {1, 1, 1}, {milliseconds(10), milliseconds(10), milliseconds(100)});
    world.run(seconds(30), per_second);
    const std::vector<int> count = world.run(seconds(100), per_second);
    EXPECT_NEAR(1.0 * count[2] / count[0], 0.1, 0.05);
    EXPECT_NEAR(1.0 * count[1] / count[0], 1, 0.15);
  }
}

TEST(LeastLatency, EqualBackendsGetSharesByTheirWeight) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE("TERRACE_SEED=" + std::to_string(seed));
  World world(seed, {3, 1}, {milliseconds(10), milliseconds(10)});
  const std::vector<int> count = world.run(seconds(100), 2000);
  EXPECT_NEAR(1.0 * count[0] / count[1], 3, 0.4);
}

TEST(LeastLatency, NoticesAtOnceThatOneHasBecomeSlowAndSoonThatItIsWellAgain) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE("TERRACE_SEED=" + std::to_string(seed));
  World world(seed, {1, 1}, {milliseconds(10), milliseconds(10)});
  world.run(seconds(10), 200);
  world.set_latency(1, milliseconds(500));
  world.run(seconds(1), 200);
  EXPECT_LT(world.run(seconds(10), 200)[1], 2000 / 10);
  world.set_latency(1, milliseconds(10));
  world.run(seconds(60), 200);
  EXPECT_GT(world.run(seconds(10), 200)[1], 2000 * 4 / 10);
}

TEST(LeastLatency, OneThatIsFrozenGetsNoMoreThanTheOthersHaveInFlight) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE("TERRACE_SEED=" + std::to_string(seed));
  World world(seed, {1, 1, 1}, {milliseconds(10), milliseconds(10), milliseconds(10)});
  world.run(seconds(10), 300);
  world.set_latency(2, std::chrono::hours(1));
  EXPECT_LT(world.run(seconds(10), 300)[2], 20);
}

TEST(LeastLatency, ABackendThatComesIsTriedAndOneThatGoesGetsNothing) {
  Random random(test_seed());
  LeastLatency policy(random);
  const std::vector<Load> loads = loads_of({1, 1, 1});
  const Time now{std::chrono::hours(1)};
  policy.answered(0, milliseconds(5), now);
  policy.answered(1, milliseconds(5), now);
  int third = 0;
  for (int i = 0; i < 300; ++i) third += policy.pick(loads, BackendSet::first(3), {}, now) == 2;
  EXPECT_NEAR(third, 100, 50);
  for (int i = 0; i < 300; ++i) EXPECT_LT(policy.pick(loads, BackendSet::first(2), {}, now), 2);
}

TEST(LeastLatency, GivesNothingToWeightZero) {
  Random random(test_seed());
  LeastLatency policy(random);
  const std::vector<Load> loads = loads_of({0, 1, 0});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(policy.pick(loads, BackendSet::first(3), {}, Time{}), 1);
  EXPECT_FALSE(policy.pick(loads_of({0, 0}), BackendSet::first(2), {}, Time{}));
}

}  // namespace
}  // namespace terrace::lb

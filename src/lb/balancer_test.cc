#include "lb/balancer.h"

#include <gtest/gtest.h>

#include "lb/policy_fixture.h"

namespace terrace::lb {
namespace {

using Kind = Balancer::Outcome::Kind;
using std::chrono::milliseconds;
using std::chrono::seconds;

class BalancerTest : public testing::Test {
 protected:
  Time now() const { return clock_.now(); }
  static Standing standing(std::string name, State state = State::kUp) {
    return {.name = std::move(name), .state = state};
  }
  void wait(Duration time) {
    clock_.advance(time);
    balancer_.tick(now());
  }
  Balancer::Place take(BackendSet tried = {}) { return balancer_.take({}, tried, now()).value(); }
  std::string taken_name(BackendSet tried = {}) {
    const Balancer::Place place = take(tried);
    balancer_.finish(place, {}, now());
    return balancer_.name(place.position);
  }
  void finish(const Balancer::Place& place, Kind kind, int status = 200) {
    balancer_.finish(place, {.kind = kind, .status = status, .latency = milliseconds(5)}, now());
  }
  bool waits(BackendSet tried = {}) { return !balancer_.take({}, tried, now()); }

  VirtualClock clock_;
  Random random_{1};
  Balancer balancer_{{.in_flight_max = 2}, random_};
};

TEST_F(BalancerTest, NobodyGetsMoreThanTheLimitAndAFullPoolIsWaitedFor) {
  balancer_.update({{standing("a"), standing("b")}}, now());
  std::vector<Balancer::Place> places;
  for (int i = 0; i < 4; ++i) places.push_back(take());
  EXPECT_EQ(balancer_.in_flight(0), 2U);
  EXPECT_TRUE(waits());
  EXPECT_TRUE(balancer_.any_serves());
  finish(places[1], Kind::kAnswered);
  EXPECT_EQ(take().position, places[1].position);
}

TEST_F(BalancerTest, ARetryGoesToAnother) {
  balancer_.update({{standing("a"), standing("b")}}, now());
  const Balancer::Place first = take();
  BackendSet tried;
  tried.add(first.position);
  EXPECT_NE(take(tried).position, first.position);
  tried.add(1 - first.position);
  EXPECT_TRUE(waits(tried));
}

TEST_F(BalancerTest, OneThatBrokeAConnectionRestsAndIsBetterThanNobody) {
  balancer_.update({{standing("a"), standing("b")}}, now());
  finish(take(), Kind::kBroken);
  EXPECT_TRUE(balancer_.take_suspects().contains(0));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(taken_name(), "b");
  BackendSet tried;
  tried.add(1);
  EXPECT_EQ(taken_name(tried), "a");
  clock_.advance(Balancer::kRest);
  EXPECT_NE(taken_name(), taken_name());
}

TEST_F(BalancerTest, OneThatRefusesIsNotTriedBeforeItHasRested) {
  balancer_.update({{standing("a")}}, now());
  finish(take(), Kind::kRefused);
  EXPECT_TRUE(waits());
  clock_.advance(Balancer::kRest);
  EXPECT_EQ(taken_name(), "a");
}

TEST_F(BalancerTest, AReturnedBackendsShareGrowsToItsFullShareInTheSlowStart) {
  Standing slow = standing("b", State::kSlowStart);
  slow.rising_since = now();
  balancer_.update({{standing("a"), slow}}, now());
  std::vector<int> share;
  for (int part = 0; part < 5; ++part) {
    int to_slow = 0;
    for (int i = 0; i < 200; ++i) {
      clock_.advance(milliseconds(10));
      balancer_.tick(now());
      to_slow += taken_name() == "b";
    }
    share.push_back(to_slow);
  }
  EXPECT_LT(share.front(), 30);
  EXPECT_TRUE(std::ranges::is_sorted(share));
  EXPECT_GT(share.back(), 85);
  int to_slow = 0;
  for (int i = 0; i < 200; ++i) to_slow += taken_name() == "b";
  EXPECT_NEAR(to_slow, 100, 1);
}

TEST_F(BalancerTest, AStandbyGetsNothingUntilTheOneThatServesFails) {
  Standing standby = standing("b");
  standby.standby = true;
  balancer_.update({{standing("a"), standby}}, now());
  const Balancer::Place one = take();
  const Balancer::Place two = take();
  EXPECT_TRUE(waits());  // full is no failure
  finish(one, Kind::kGivenUp);
  finish(two, Kind::kBroken);
  EXPECT_EQ(taken_name(), "a");
  BackendSet tried;
  tried.add(0);
  EXPECT_EQ(taken_name(tried), "b");
  finish(take(), Kind::kRefused);
  EXPECT_EQ(taken_name(), "b");
}

TEST_F(BalancerTest, ADrainedBackendSaysWhenItsLastRequestIsFinished) {
  balancer_.update({{standing("a")}}, now());
  const Balancer::Place last = take();
  balancer_.update({{standing("a", State::kDraining)}}, now());
  EXPECT_TRUE(waits());
  EXPECT_TRUE(balancer_.drained().empty());
  finish(last, Kind::kAnswered);
  EXPECT_TRUE(balancer_.drained().contains(0));
}

TEST_F(BalancerTest, TheEndOfARequestToABackendThatLeftDisturbsNobody) {
  balancer_.update({{standing("a")}}, now());
  const Balancer::Place old = take();
  balancer_.update({{standing("b")}}, now());
  EXPECT_EQ(take().position, old.position);
  finish(old, Kind::kBroken);
  EXPECT_EQ(balancer_.in_flight(old.position), 1U);
  EXPECT_TRUE(balancer_.take_suspects().empty());
}

TEST_F(BalancerTest, ABackendThatStaysKeepsItsRequestsWhateverComesBesideIt) {
  balancer_.update({{standing("b")}}, now());
  const Balancer::Place one = take();
  balancer_.update({{standing("a"), standing("b")}}, now());
  EXPECT_EQ(balancer_.in_flight(balancer_.find("b").value()), 1U);
  finish(one, Kind::kAnswered);
  EXPECT_EQ(balancer_.in_flight(balancer_.find("b").value()), 0U);
}

TEST_F(BalancerTest, FailuresInARowBecomeAVerdict) {
  balancer_.update({{standing("a"), standing("b")}}, now());
  for (int i = 0; i < 5; ++i) {
    BackendSet tried;
    tried.add(1);
    finish(take(tried), Kind::kBroken);
  }
  EXPECT_TRUE(balancer_.take_verdicts().contains(0));
  EXPECT_EQ(balancer_.verdict(0), Verdict::kFailures);
}

TEST_F(BalancerTest, OneThatACookieNamesIsTakenAlsoWithoutWeightButNotWhenItIsAway) {
  Standing zero = standing("b");
  zero.weight = 0;
  Standing standby = standing("d");
  standby.standby = true;
  balancer_.update({{standing("a"), zero, standing("c", State::kDraining), standby}}, now());
  EXPECT_TRUE(balancer_.take_this("b", {}, now()));
  const auto last = balancer_.take_this("b", {}, now());
  EXPECT_FALSE(balancer_.take_this("b", {}, now()));  // full
  finish(*last, Kind::kBroken);
  EXPECT_FALSE(balancer_.take_this("b", {}, now()));  // rests
  for (const char* name : {"c", "d", "e"}) EXPECT_FALSE(balancer_.take_this(name, {}, now())) << name;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(taken_name(), "a");
}

// Random events from a seed (TERRACE_SEED): who gets a request could have it.
TEST_F(BalancerTest, WhateverHappensRequestsGoToThoseThatMayHaveThem) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE("TERRACE_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::vector<Standing> standings;
  std::vector<std::pair<Balancer::Place, std::string>> under_way;
  for (int step = 0; step < 20'000 && !HasFailure(); ++step) {
    const uint64_t what = random() % 100;
    if (what < 3) {
      standings.clear();
      for (const char* name : {"a", "b", "c", "d"}) {
        if (random() % 4 == 0) continue;
        Standing one = standing(name, static_cast<State>(random() % 6));
        one.standby = random() % 3 == 0;
        one.weight = static_cast<uint32_t>(random() % 3);
        standings.push_back(one);
      }
      std::ranges::shuffle(standings, random);
      balancer_.set_options({.algorithm = static_cast<Algorithm>(random() % 5), .in_flight_max = 3});
      balancer_.update(standings, now());
    } else if (what < 10) {
      wait(milliseconds(random() % 1000));
    } else if (what < 60) {
      const Key key = random() % 2 == 0 ? Key(random()) : Key();
      const std::optional<Balancer::Place> place = balancer_.take(key, {}, now());
      if (!place) continue;
      const std::string name = balancer_.name(place->position);
      const auto to = std::ranges::find(standings, name, &Standing::name);
      ASSERT_NE(to, standings.end());
      EXPECT_TRUE(to->state < State::kEjected && to->weight > 0) << name_of(to->state);
      EXPECT_LE(balancer_.in_flight(place->position), 3U);
      under_way.emplace_back(*place, name);
    } else if (!under_way.empty()) {
      const size_t one = random() % under_way.size();
      finish(under_way[one].first, static_cast<Kind>(random() % 4), random() % 2 == 0 ? 200 : 500);
      under_way.erase(under_way.begin() + static_cast<ptrdiff_t>(one));
    }
  }
}

}  // namespace
}  // namespace terrace::lb

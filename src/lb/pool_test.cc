#include "lb/pool.h"

#include <gtest/gtest.h>

#include "lb/policy_fixture.h"

namespace terrace::lb {
namespace {

using health::Health;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

PoolPlan plan_of(std::vector<std::string> names, Mode mode = Mode::kActiveActive, bool returns = true) {
  PoolPlan plan{.mode = mode, .returns = returns};
  for (std::string& name : names) plan.backends.push_back({.name = std::move(name)});
  return plan;
}

class PoolTest : public testing::Test {
 protected:
  Time now() const { return clock_.now(); }
  void all_healthy() {
    for (size_t i = 0; i < pool_.standings().size(); ++i) check(i, true);
  }
  void check(size_t i, bool healthy) {
    pool_.checked(i, healthy ? Health::kHealthy : Health::kUnhealthy, false, healthy ? "" : "timed out",
                  now());
  }
  void wait(Duration time) {
    clock_.advance(time);
    pool_.tick(now());
  }
  State state(size_t i) const { return pool_.standings()[i].state; }
  std::vector<size_t> serving() const {
    std::vector<size_t> serving;
    for (size_t i = 0; i < pool_.standings().size(); ++i) {
      const Standing& one = pool_.standings()[i];
      const bool away =
          one.state == State::kDown || one.state == State::kEjected || one.state == State::kDraining;
      if (!away && !one.standby && one.weight > 0) serving.push_back(i);
    }
    return serving;
  }

  VirtualClock clock_;
  Pool pool_;
};

TEST_F(PoolTest, AtTheStartAllServeAtOnceAndWithoutASlowStart) {
  pool_.configure(plan_of({"a", "b"}), now());
  EXPECT_EQ(serving().size(), 2U);
  EXPECT_EQ(state(0), State::kInDoubt);
  EXPECT_EQ(pool_.standings()[0].reason, "not checked yet");
  all_healthy();
  EXPECT_EQ(state(0), State::kUp);
}

TEST_F(PoolTest, OneThatWasDownSaysWhyAndSinceWhenAndStartsSlowly) {
  pool_.configure(plan_of({"a", "b"}), now());
  all_healthy();
  wait(seconds(5));
  pool_.checked(0, Health::kHealthy, true, "timed out", now());
  EXPECT_EQ(state(0), State::kInDoubt);
  EXPECT_EQ(serving().size(), 2U);
  check(0, false);
  EXPECT_EQ(state(0), State::kDown);
  EXPECT_EQ(pool_.standings()[0].reason, "timed out");
  EXPECT_EQ(pool_.standings()[0].since, now());
  wait(seconds(5));
  check(0, true);
  EXPECT_EQ(state(0), State::kSlowStart);
  EXPECT_EQ(pool_.standings()[0].rising_since, now());
  EXPECT_EQ(pool_.next(), now() + seconds(10));
  wait(seconds(10));
  EXPECT_EQ(state(0), State::kUp);
  EXPECT_FALSE(pool_.next());
}

TEST_F(PoolTest, OneThatJoinsLaterWaitsForItsFirstCheckAndStartsSlowly) {
  pool_.configure(plan_of({"a"}), now());
  all_healthy();
  pool_.configure(plan_of({"b", "a"}), now());
  EXPECT_EQ(state(0), State::kDown);
  EXPECT_EQ(state(1), State::kUp);
  check(0, true);
  EXPECT_EQ(state(0), State::kSlowStart);
}

TEST_F(PoolTest, EachEjectionIsTwiceAsLongAsTheOneBeforeUntilItIsForgotten) {
  pool_.configure(plan_of({"a", "b"}), now());
  all_healthy();
  for (const Duration away :
       {seconds(10), seconds(20), seconds(40), seconds(80), seconds(160), seconds(300)}) {
    ASSERT_TRUE(pool_.eject(0, "five failures in a row", now()));
    EXPECT_EQ(pool_.standings()[0].reason, "five failures in a row");
    wait(away - milliseconds(1));
    EXPECT_EQ(state(0), State::kEjected);
    wait(milliseconds(1));
    EXPECT_EQ(state(0), State::kSlowStart);
  }
  wait(minutes(6));
  ASSERT_TRUE(pool_.eject(0, "again", now()));
  wait(seconds(10));
  EXPECT_EQ(state(0), State::kSlowStart);
}

TEST_F(PoolTest, TheLastOneIsNeverEjectedAndEjectedOnesComeBackWhenTheRestIsGone) {
  pool_.configure(plan_of({"a", "b", "c", "d"}), now());
  all_healthy();
  EXPECT_TRUE(pool_.eject(0, "slow", now()));
  EXPECT_TRUE(pool_.eject(1, "slow", now()));
  EXPECT_FALSE(pool_.eject(2, "slow", now()));  // half of them are away
  check(2, false);
  EXPECT_EQ(serving(), std::vector<size_t>{3});
  check(3, false);
  EXPECT_EQ(serving(), (std::vector<size_t>{0, 1}));
}

TEST_F(PoolTest, ADrainedBackendGetsNothingWhateverItsChecksSay) {
  pool_.configure(plan_of({"a", "b"}), now());
  all_healthy();
  pool_.drain(0, true, "by command", now());
  check(0, false);
  check(0, true);
  EXPECT_EQ(state(0), State::kDraining);
  EXPECT_EQ(pool_.standings()[0].reason, "by command");
  pool_.drain(0, false, "", now());
  EXPECT_EQ(state(0), State::kSlowStart);
}

TEST_F(PoolTest, AChangedWeightIsPublishedAndNothingElseChanges) {
  pool_.configure(plan_of({"a", "b"}), now());
  all_healthy();
  wait(seconds(3));
  PoolPlan plan = pool_.plan();
  plan.backends[1].weight = 0;
  pool_.configure(plan, now());
  EXPECT_EQ(serving(), std::vector<size_t>{0});
  EXPECT_EQ(state(1), State::kUp);
  EXPECT_LT(pool_.standings()[1].since, now());
}

TEST_F(PoolTest, OnlyWhatChangedIsToBePublished) {
  pool_.configure(plan_of({"a", "b"}), now());
  EXPECT_EQ(pool_.take_changed(), BackendSet::first(2));
  all_healthy();
  pool_.take_changed();
  check(1, true);
  wait(seconds(1));
  EXPECT_TRUE(pool_.take_changed().empty());
}

TEST_F(PoolTest, ActivePassiveReturnsToTheFirst) {
  pool_.configure(plan_of({"a", "b", "c"}, Mode::kActivePassive), now());
  all_healthy();
  EXPECT_EQ(serving(), std::vector<size_t>{0});
  check(0, false);
  EXPECT_EQ(serving(), std::vector<size_t>{1});
  check(1, false);
  EXPECT_EQ(serving(), std::vector<size_t>{2});
  check(0, true);
  EXPECT_EQ(serving(), std::vector<size_t>{0});
}

TEST_F(PoolTest, ActivePassiveWithoutReturnStaysUntilTheNextFailure) {
  pool_.configure(plan_of({"a", "b"}, Mode::kActivePassive, false), now());
  all_healthy();
  check(0, false);
  check(0, true);
  EXPECT_EQ(serving(), std::vector<size_t>{1});
  pool_.configure(plan_of({"c", "a", "b"}, Mode::kActivePassive, false), now());
  all_healthy();
  EXPECT_EQ(serving(), std::vector<size_t>{2});
  EXPECT_TRUE(pool_.eject(2, "slow", now()));
  EXPECT_EQ(serving(), std::vector<size_t>{0});
}

// Random events from a seed (TERRACE_SEED), and what always holds.
class PoolWorld : public PoolTest {
 protected:
  void step(std::mt19937_64& random, Mode mode, bool returns) {
    const std::vector<size_t> before = serving();
    const size_t count = pool_.standings().size();
    const size_t one = count == 0 ? 0 : random() % count;
    const uint64_t what = random() % 10;
    if (what == 0 || count == 0) {
      configure(random, mode, returns);
    } else if (what < 4) {
      check(one, random() % 2 == 0);
    } else if (what < 6) {
      pool_.eject(one, "seen", now());
      EXPECT_LE(ejected(), count / 2);
    } else if (what < 7) {
      pool_.drain(one, random() % 2 == 0, "told", now());
    } else {
      wait(seconds(random() % 30));
    }
    hold(mode, before, what > 0 && !returns);
  }

  size_t ejected() const {
    return static_cast<size_t>(std::ranges::count(pool_.standings(), State::kEjected, &Standing::state));
  }

 private:
  void configure(std::mt19937_64& random, Mode mode, bool returns) {
    std::vector<std::string> names;
    for (const char* name : {"a", "b", "c", "d", "e"}) {
      if (random() % 3 > 0) names.push_back(name);
    }
    PoolPlan plan = plan_of(names, mode, returns);
    for (BackendPlan& one : plan.backends) one.weight = static_cast<uint32_t>(random() % 3);
    pool_.configure(plan, now());
  }

  void hold(Mode mode, const std::vector<size_t>& before, bool stays) {
    bool anybody = false;
    for (const Standing& one : pool_.standings()) {
      anybody |= one.weight > 0 && one.state != State::kDown && one.state != State::kDraining;
    }
    const std::vector<size_t> after = serving();
    EXPECT_EQ(anybody, !after.empty());
    EXPECT_LE(ejected(), pool_.standings().size() / 2);
    if (mode != Mode::kActivePassive) return;
    EXPECT_LE(after.size(), 1U);
    if (!stays || before.empty() || after == before) return;
    // It was left for a reason.
    const Standing& left = pool_.standings()[before[0]];
    EXPECT_TRUE(left.state == State::kDown || left.state == State::kDraining ||
                left.state == State::kEjected);
  }
};

TEST_F(PoolWorld, WhateverHappensSomebodyServesIfAnybodyCan) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE("TERRACE_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int world = 0; world < 200 && !HasFailure(); ++world) {
    pool_ = Pool();
    const Mode mode = random() % 2 == 0 ? Mode::kActiveActive : Mode::kActivePassive;
    const bool returns = random() % 2 == 0;
    for (int i = 0; i < 200 && !HasFailure(); ++i) step(random, mode, returns);
  }
}

}  // namespace
}  // namespace terrace::lb

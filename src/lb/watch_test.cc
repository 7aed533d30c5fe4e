#include "lb/watch.h"

#include <gtest/gtest.h>

#include <map>

namespace terrace::lb {
namespace {

using namespace std::chrono_literals;

class WatchTest : public testing::Test, public WatchOwner {
 protected:
  ~WatchTest() override { end(); }

  Task<health::CheckResult> check(std::string backend, Duration) override {
    ++checks_[backend];
    co_await sleep(*reactor_, 1ms);
    const bool success = !broken_.contains(backend);
    co_return health::CheckResult{.success = success, .reason = success ? "answers 200" : broken_[backend]};
  }
  void changed(const Pool& pool, BackendSet which) override {
    for (size_t i : which) states_[pool.standings()[i].name] = pool.standings()[i].state;
  }

  void configure(std::vector<std::string> names) {
    PoolPlan plan{.slow_start = 30ms, .ejection = 40ms};
    for (std::string& name : names) plan.backends.push_back({.name = std::move(name)});
    watch_.configure(std::move(plan), health::CheckPlan::every(20ms, {}));
  }
  bool becomes(const std::string& name, State state) {
    for (int i = 0; i < 500 && states_[name] != state; ++i) run(4ms);
    return states_[name] == state;
  }
  void run(Duration time) {
    const bool never = false;
    reactor_->run_until(never, time);
  }
  void end() {
    if (ended_) return;
    scope_.spawn(close(watch_, ended_));
    EXPECT_TRUE(reactor_->run_until(ended_, 5s));
  }
  static Task<void> close(Watch& watch, bool& done) {
    co_await watch.close();
    done = true;
  }

  SystemClock clock_;
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  Watch watch_{*reactor_, *this};
  std::map<std::string, std::string> broken_;
  std::map<std::string, State> states_;
  std::map<std::string, int> checks_;
  Scope scope_;
  bool ended_ = false;
};

TEST_F(WatchTest, FindsWhoIsDownAndBringsItBackByASlowStart) {
  configure({"a", "b"});
  EXPECT_TRUE(becomes("a", State::kUp));
  broken_["b"] = "answers 500";
  EXPECT_TRUE(becomes("b", State::kDown));
  EXPECT_EQ(watch_.pool().standings()[1].reason, "answers 500");
  EXPECT_EQ(states_["a"], State::kUp);
  broken_.clear();
  EXPECT_TRUE(becomes("b", State::kSlowStart));
  EXPECT_TRUE(becomes("b", State::kUp));
}

TEST_F(WatchTest, AnEjectionEndsByItself) {
  configure({"a", "b"});
  EXPECT_TRUE(becomes("b", State::kUp));
  watch_.eject("b", "too slow");
  EXPECT_EQ(states_["b"], State::kEjected);
  EXPECT_TRUE(becomes("b", State::kUp));
}

TEST_F(WatchTest, WhatCoresSawIsCheckedAtOnce) {
  configure({"a", "b"});
  EXPECT_TRUE(becomes("a", State::kUp));
  const PoolPlan plan = watch_.pool().plan();
  watch_.configure(plan, {.interval = 1h, .interval_in_doubt = 1ms});
  run(60ms);
  const int before = checks_["a"];
  const int others = checks_["b"];
  watch_.suspect("a");
  run(60ms);
  EXPECT_GT(checks_["a"], before);
  EXPECT_EQ(checks_["b"], others);
}

TEST_F(WatchTest, WhoLeavesThePoolIsNotCheckedAnyMore) {
  configure({"a", "b"});
  EXPECT_TRUE(becomes("b", State::kUp));
  configure({"a"});
  run(10ms);
  const int before = checks_["b"];
  run(60ms);
  EXPECT_EQ(checks_["b"], before);
  EXPECT_EQ(watch_.pool().standings().size(), 1U);
}

TEST_F(WatchTest, ADrainIsPublishedAtOnceAndLastsThroughChecks) {
  configure({"a", "b"});
  EXPECT_TRUE(becomes("a", State::kUp));
  watch_.drain("a", true, "by command");
  EXPECT_EQ(states_["a"], State::kDraining);
  run(50ms);
  EXPECT_EQ(states_["a"], State::kDraining);
  watch_.drain("nobody", true, "by command");
}

}  // namespace
}  // namespace terrace::lb

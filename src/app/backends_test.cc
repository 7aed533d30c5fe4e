#include "app/backends.h"

#include <gtest/gtest.h>

#include <map>

#include "reactor/scope.h"

namespace terrace::app {
namespace {

using namespace std::chrono_literals;

class BackendsTest : public testing::Test, public InstanceEvents {
 protected:
  void drained(uint32_t slot, uint32_t) override { drained_.push_back(slot); }
  void failed(uint32_t slot, uint32_t, uint32_t) override { failed_.push_back(slot); }
  void set(uint32_t slot, InstanceState state) {
    backends_.update({.slot = slot,
                      .generation = 1,
                      .state = state,
                      .address = net::Address::loopback(1),
                      .name = "app-" + std::to_string(slot),
                      .release = 7,
                      .metrics = nullptr});
  }
  SystemClock clock_;
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  std::vector<uint32_t> drained_;
  std::vector<uint32_t> failed_;
  Backends backends_{*reactor_, *this, {.connections_max = 3, .queue_max = 2}};
  Scope scope_;
};

TEST_F(BackendsTest, LastRequestsOfAForgottenInstanceAreStillOfItsRelease) {
  set(1, InstanceState::kUp);
  Instance* taken = backends_.take();
  backends_.update({.slot = 1,
                    .generation = 1,
                    .state = InstanceState::kDown,
                    .address = {},
                    .name = {},
                    .metrics = nullptr});
  EXPECT_EQ(taken->name, "app-1");
  EXPECT_EQ(taken->release, 7U);
  backends_.release(*taken);
}

TEST_F(BackendsTest, GiveTheInstanceWithTheFewestRequests) {
  set(1, InstanceState::kUp);
  set(2, InstanceState::kUp);
  std::map<uint32_t, int> count;
  std::vector<Instance*> taken;
  for (int i = 0; i < 4; ++i) {
    taken.push_back(backends_.take());
    ++count[taken.back()->slot];
  }
  EXPECT_EQ(count[1], 2);
  EXPECT_EQ(count[2], 2);
  Instance* one = taken[0];
  backends_.release(*one);
  EXPECT_EQ(backends_.take(), one);
}

TEST_F(BackendsTest, GoRoundAmongEquals) {
  set(1, InstanceState::kUp);
  set(2, InstanceState::kUp);
  std::map<uint32_t, int> count;
  for (int i = 0; i < 10; ++i) {
    Instance* one = backends_.take();
    ++count[one->slot];
    backends_.release(*one);
  }
  EXPECT_EQ(count[1], 5);
  EXPECT_EQ(count[2], 5);
}

TEST_F(BackendsTest, GiveNothingBeyondTheLimitOfConnections) {
  set(1, InstanceState::kUp);
  for (int i = 0; i < 3; ++i) EXPECT_NE(backends_.take(), nullptr);
  EXPECT_EQ(backends_.take(), nullptr);
}

TEST_F(BackendsTest, GiveNothingThatStartsDrainsOrIsDown) {
  set(1, InstanceState::kStarting);
  set(2, InstanceState::kDraining);
  set(3, InstanceState::kDown);
  EXPECT_EQ(backends_.take(), nullptr);
  EXPECT_EQ(drained_, std::vector<uint32_t>{2}) << "nothing was in flight";
}

TEST_F(BackendsTest, SayThatAnInstanceIsDrainedOnceItsLastRequestEnds) {
  set(1, InstanceState::kUp);
  Instance* one = backends_.take();
  set(1, InstanceState::kDraining);
  EXPECT_TRUE(drained_.empty());
  backends_.release(*one);
  EXPECT_EQ(drained_, std::vector<uint32_t>{1});
}

TEST_F(BackendsTest, LetAnInstanceRestThatBrokeAConnection) {
  set(1, InstanceState::kUp);
  set(2, InstanceState::kUp);
  Instance* one = backends_.take();
  backends_.failed(*one, true);
  backends_.release(*one);
  for (int i = 0; i < 3; ++i) EXPECT_NE(backends_.take(), one);
  EXPECT_EQ(failed_, std::vector<uint32_t>{one->slot});
}

TEST_F(BackendsTest, ForgetWhatANewControllerDoesNotName) {
  set(1, InstanceState::kUp);
  set(2, InstanceState::kUp);
  backends_.mark();
  set(2, InstanceState::kUp);
  backends_.forget_unnamed();
  ASSERT_EQ(backends_.instances().size(), 1u);
  EXPECT_EQ(backends_.instances()[0]->slot, 2u);
}

TEST_F(BackendsTest, ForgetNothingWithoutAMark) {
  set(1, InstanceState::kUp);
  backends_.mark();
  set(1, InstanceState::kUp);
  backends_.forget_unnamed();
  set(2, InstanceState::kUp);
  backends_.forget_unnamed();
  EXPECT_EQ(backends_.instances().size(), 2u);
}

TEST_F(BackendsTest, SayWhenNobodyServesAndNotWhenAllAreOnlyBusy) {
  EXPECT_TRUE(backends_.none_serves());
  set(1, InstanceState::kStarting);
  EXPECT_TRUE(backends_.none_serves());
  set(1, InstanceState::kUp);
  for (int i = 0; i < 3; ++i) backends_.take();
  EXPECT_EQ(backends_.take(), nullptr);
  EXPECT_FALSE(backends_.none_serves());
  backends_.failed(*backends_.instances()[0], false);
  EXPECT_FALSE(backends_.none_serves()) << "better than none";
  backends_.failed(*backends_.instances()[0], true);
  EXPECT_TRUE(backends_.none_serves());
}

Task<void> wait_turn(Backends& backends, Time deadline, std::vector<int>& order, int number, int& done) {
  const bool mine = co_await backends.turn(deadline);
  order.push_back(mine ? number : -number);
  ++done;
}

TEST_F(BackendsTest, WakeWaitersInTheOrderInWhichTheyCame) {
  std::vector<int> order;
  int done = 0;
  scope_.spawn(wait_turn(backends_, reactor_->now() + 2s, order, 1, done));
  scope_.spawn(wait_turn(backends_, reactor_->now() + 2s, order, 2, done));
  EXPECT_EQ(backends_.waiting(), 2);
  set(1, InstanceState::kUp);
  const bool never = false;
  reactor_->run_until(never, 20ms);
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST_F(BackendsTest, WakeAllWhoWaitWhenTheLastOneIsGone) {
  set(1, InstanceState::kUp);
  set(2, InstanceState::kUp);
  std::vector<int> order;
  int done = 0;
  scope_.spawn(wait_turn(backends_, reactor_->now() + 2s, order, 1, done));
  scope_.spawn(wait_turn(backends_, reactor_->now() + 2s, order, 2, done));
  const bool never = false;
  set(1, InstanceState::kDown);
  reactor_->run_until(never, 20ms);
  EXPECT_EQ(done, 0);
  set(2, InstanceState::kDown);
  reactor_->run_until(never, 20ms);
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST_F(BackendsTest, TurnAWaiterAwayAtItsDeadlineAndWhenTheQueueIsFull) {
  std::vector<int> order;
  int done = 0;
  scope_.spawn(wait_turn(backends_, reactor_->now() + 20ms, order, 1, done));
  scope_.spawn(wait_turn(backends_, reactor_->now() + 20ms, order, 2, done));
  scope_.spawn(wait_turn(backends_, reactor_->now() + 2s, order, 3, done));
  EXPECT_EQ(order, std::vector<int>{-3}) << "full: at once";
  EXPECT_EQ(backends_.metrics().queue_overflows.get(), 1u);
  const bool never = false;
  reactor_->run_until(never, 60ms);
  EXPECT_EQ(order.size(), 3u);
  EXPECT_EQ(backends_.metrics().queue_timeouts.get(), 2u);
  EXPECT_EQ(backends_.waiting(), 0);
}

}  // namespace
}  // namespace terrace::app

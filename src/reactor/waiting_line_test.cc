#include "reactor/waiting_line.h"

#include <gtest/gtest.h>

#include <vector>

#include "reactor/scope.h"

namespace terrace {
namespace {

using namespace std::chrono_literals;

class WaitingLineTest : public testing::Test {
 protected:
  void run(Duration time) {
    const bool never = false;
    reactor_->run_until(never, time);
  }
  SystemClock clock_;
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  Counter timeouts_;
  Counter overflows_;
  WaitingLine line_{*reactor_, 3, {timeouts_, overflows_}};
  std::vector<int> order_;
  Scope scope_;
};

// Notes its number when it is its turn, else the number below zero.
Task<void> wait_turn(WaitingLine& line, Time deadline, int number, std::vector<int>& order) {
  const bool mine = co_await line.turn(deadline);
  order.push_back(mine ? number : -number);
}

TEST_F(WaitingLineTest, WhoCameFirstIsWokenFirst) {
  for (int i = 1; i <= 3; ++i) scope_.spawn(wait_turn(line_, reactor_->now() + 2s, i, order_));
  line_.wake(2);
  run(5ms);
  EXPECT_EQ(order_, (std::vector<int>{1, 2}));
  EXPECT_EQ(line_.length(), 1);
  line_.wake(1);
  run(5ms);
}

TEST_F(WaitingLineTest, WhoeverLeavesAtADeadlineLeavesTheOthersInTheirOrder) {
  scope_.spawn(wait_turn(line_, reactor_->now() + 2s, 1, order_));
  scope_.spawn(wait_turn(line_, reactor_->now() + 10ms, 2, order_));
  scope_.spawn(wait_turn(line_, reactor_->now() + 2s, 3, order_));
  run(30ms);
  EXPECT_EQ(order_, std::vector<int>{-2});
  EXPECT_EQ(timeouts_.get(), 1U);
  line_.wake(5);
  run(5ms);
  EXPECT_EQ(order_, (std::vector<int>{-2, 1, 3}));
}

TEST_F(WaitingLineTest, AFullLineTurnsAwayAtOnce) {
  for (int i = 1; i <= 4; ++i) scope_.spawn(wait_turn(line_, reactor_->now() + 2s, i, order_));
  EXPECT_EQ(order_, std::vector<int>{-4});
  EXPECT_EQ(overflows_.get(), 1U);
  EXPECT_TRUE(line_.full());
  line_.wake(3);
  run(5ms);
}

TEST_F(WaitingLineTest, ADeadlineThatHasPassedIsNotWaitedFor) {
  scope_.spawn(wait_turn(line_, reactor_->now(), 1, order_));
  EXPECT_EQ(order_, std::vector<int>{-1});
}

}  // namespace
}  // namespace terrace

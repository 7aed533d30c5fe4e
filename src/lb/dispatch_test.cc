#include "lb/dispatch.h"

#include <gtest/gtest.h>

#include "reactor/scope.h"

namespace terrace::lb {
namespace {

using namespace std::chrono_literals;
using Kind = Balancer::Outcome::Kind;

class DispatchTest : public testing::Test {
 protected:
  static Standing standing(std::string name, State state = State::kUp) {
    return {.name = std::move(name), .state = state};
  }
  void run(Duration time) {
    const bool never = false;
    reactor_->run_until(never, time);
  }
  // Notes its number when it has a place, else the number below zero.
  static Task<void> want(Dispatch& dispatch, Time deadline, int number, std::vector<int>& order) {
    const Result<Balancer::Place> place = co_await dispatch.wait({}, {}, deadline);
    order.push_back(place ? number : -number);
  }
  Task<void> keep_error(Time deadline, Code& code) {
    const Result<Balancer::Place> place = co_await dispatch_.wait({}, {}, deadline);
    code = place ? Code::kSystem : place.error().code;
  }

  SystemClock clock_;
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  Dispatch dispatch_{*reactor_, {.balancer = {.in_flight_max = 1}, .queue_max = 3}};
  std::vector<int> order_;
  Scope scope_;
};

TEST_F(DispatchTest, WhoCameFirstGetsTheFirstPlaceAndNobodyNewBeforeHim) {
  const std::vector<Standing> one = {standing("a")};
  dispatch_.update(one);
  const auto place = dispatch_.take({}, {});
  ASSERT_TRUE(place);
  scope_.spawn(want(dispatch_, reactor_->now() + 2s, 1, order_));
  scope_.spawn(want(dispatch_, reactor_->now() + 40ms, 2, order_));
  dispatch_.finish(*place, {});
  EXPECT_FALSE(dispatch_.take({}, {}));  // it is for the first
  run(10ms);
  EXPECT_EQ(order_, std::vector<int>{1});
  run(60ms);
  EXPECT_EQ(order_, (std::vector<int>{1, -2}));
  EXPECT_EQ(dispatch_.metrics().queue_timeouts.get(), 1U);
}

TEST_F(DispatchTest, ABackendThatComesUpServesThoseWhoWaited) {
  scope_.spawn(want(dispatch_, reactor_->now() + 2s, 1, order_));
  scope_.spawn(want(dispatch_, reactor_->now() + 2s, 2, order_));
  const std::vector<Standing> two = {standing("a"), standing("b")};
  dispatch_.update(two);
  run(10ms);
  EXPECT_EQ(order_, (std::vector<int>{1, 2}));
}

TEST_F(DispatchTest, WhereNobodyHasRoomThoseWhoWaitStayInTheirOrder) {
  const std::vector<Standing> one = {standing("a")};
  dispatch_.update(one);
  const auto place = dispatch_.take({}, {});
  for (int i = 1; i <= 3; ++i) scope_.spawn(want(dispatch_, reactor_->now() + 2s, i, order_));
  for (int i = 0; i < 5; ++i) dispatch_.tick();
  run(10ms);
  EXPECT_EQ(dispatch_.waiting(), 3);
  dispatch_.finish(*place, {});
  run(10ms);
  EXPECT_EQ(order_, std::vector<int>{1});
  const std::vector<Standing> more = {standing("a"), standing("b"), standing("c")};
  dispatch_.update(more);
  run(10ms);
  EXPECT_EQ(order_, (std::vector<int>{1, 2, 3}));
}

TEST_F(DispatchTest, AFullLineIsAnotherErrorThanADeadline) {
  Code late{};
  Code full{};
  scope_.spawn(keep_error(reactor_->now() + 10ms, late));
  scope_.spawn(want(dispatch_, reactor_->now() + 10ms, 1, order_));
  scope_.spawn(want(dispatch_, reactor_->now() + 10ms, 2, order_));
  scope_.spawn(keep_error(reactor_->now() + 2s, full));
  EXPECT_EQ(full, Code::kLimit);
  run(30ms);
  EXPECT_EQ(late, Code::kTimeout);
  EXPECT_EQ(dispatch_.metrics().queue_overflows.get(), 1U);
}

TEST_F(DispatchTest, ARetryThatCostWorkIsTakenFromTheBudget) {
  dispatch_.set_options({.retries = {.share = 0.5, .free_per_second = 0}, .queue_max = 3});
  while (dispatch_.may_try_again({.idempotent = true})) {
  }
  EXPECT_GT(dispatch_.metrics().retries_refused.get(), 0U);
  EXPECT_TRUE(dispatch_.may_try_again({.perhaps_processed = false}));
  for (int i = 0; i < 3; ++i) dispatch_.begin();
  EXPECT_TRUE(dispatch_.may_try_again({.idempotent = true}));
  EXPECT_FALSE(dispatch_.may_try_again({.idempotent = true}));
  EXPECT_FALSE(dispatch_.may_try_again({.idempotent = true, .body_gone = true}));
}

}  // namespace
}  // namespace terrace::lb

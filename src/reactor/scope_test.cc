#include "reactor/scope.h"

#include <gtest/gtest.h>

#include "reactor/mailbox.h"

namespace terrace {
namespace {

Task<void> wait_then_count(Event& event, int& count) {
  co_await event.wait();
  ++count;
}

Task<void> join(Scope& scope, bool& joined) {
  co_await scope.join();
  joined = true;
}

TEST(Scope, JoinsAllItsChildren) {
  const SystemClock clock;
  const auto reactor = Reactor::create(clock, {}).value();
  Event event(*reactor);
  Scope outer;
  Scope scope;
  int count = 0;
  bool joined = false;
  scope.spawn(wait_then_count(event, count));
  scope.spawn(wait_then_count(event, count));
  outer.spawn(join(scope, joined));
  EXPECT_FALSE(joined);
  event.set();
  EXPECT_TRUE(reactor->run_until(joined, std::chrono::seconds(1)));
  EXPECT_EQ(count, 2);
}

}  // namespace
}  // namespace terrace

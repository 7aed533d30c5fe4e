#include "program/listeners.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace terrace::program {
namespace {

TEST(Listeners, HoldOneSocketPerThreadOnOnePort) {
  Listeners listeners(3);
  const Result<const Listeners::Held*> held = listeners.listen(Purpose::kWeb, "127.0.0.1:0");
  ASSERT_TRUE(held);
  EXPECT_EQ((*held)->sockets.size(), 3U);
  EXPECT_NE((*held)->bound, "127.0.0.1:0");
  EXPECT_EQ(record_of(**held, 2).count, 3U);
  EXPECT_EQ(record_of(**held, 2).bound.view(), (*held)->bound);
}

TEST(Listeners, AnAddressThatIsHeldIsNotBoundAgain) {
  Listeners listeners(2);
  const std::string bound = (*listeners.listen(Purpose::kWeb, "127.0.0.1:0"))->bound;
  EXPECT_EQ((*listeners.listen(Purpose::kWeb, "127.0.0.1:0"))->bound, bound);
  EXPECT_EQ(listeners.held().size(), 1U);
  EXPECT_TRUE(listeners.unlisten(Purpose::kWeb, "127.0.0.1:0"));
  EXPECT_FALSE(listeners.unlisten(Purpose::kWeb, "127.0.0.1:0"));
}

TEST(Listeners, AnAddressOfAnotherProgramIsNotShared) {
  Listeners one(2);
  Listeners other(2);
  const std::string bound = (*one.listen(Purpose::kWeb, "127.0.0.1:0"))->bound;
  const Result<const Listeners::Held*> taken = other.listen(Purpose::kWeb, bound);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().system, EADDRINUSE);
}

TEST(Listeners, OnlyIpAddressesAreHeld) {
  Listeners listeners(1);
  EXPECT_FALSE(listeners.listen(Purpose::kWeb, "unix:/tmp/x"));
  EXPECT_FALSE(listeners.listen(Purpose::kWeb, "nonsense"));
}

}  // namespace
}  // namespace terrace::program

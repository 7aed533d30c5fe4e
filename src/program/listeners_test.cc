#include "program/listeners.h"

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "net/address.h"

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

// Connects again and again until `enough`; those who got through.
std::vector<Descriptor> visitors_of(const net::Address& address, std::atomic<bool>& begun,
                                    const std::atomic<bool>& enough) {
  std::vector<Descriptor> through;
  while (!enough && through.size() < 1000) {
    Descriptor socket(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(socket.get(), address.get(), address.length()) == 0) through.push_back(std::move(socket));
    begun = true;
  }
  return through;
}

TEST(Listeners, NobodyIsResetWhoComesJustAsAnAddressIsTaken) {
  Listeners listeners(4);
  const std::string bound = (*listeners.listen(Purpose::kWeb, "127.0.0.1:0"))->bound;
  listeners.unlisten(Purpose::kWeb, "127.0.0.1:0");
  const net::Address address = net::Address::parse(bound).value();
  for (int round = 0; round < 500; ++round) {
    std::atomic<bool> begun{false};
    std::atomic<bool> enough{false};
    std::vector<Descriptor> through;
    std::thread visitor([&] { through = visitors_of(address, begun, enough); });
    while (!begun) std::this_thread::yield();
    ASSERT_TRUE(listeners.listen(Purpose::kWeb, bound));
    enough = true;
    visitor.join();
    for (const Descriptor& one : through) {
      char byte = 0;
      EXPECT_EQ(::recv(one.get(), &byte, 1, MSG_DONTWAIT), -1);
      ASSERT_EQ(errno, EAGAIN) << "in round " << round;
    }
    listeners.unlisten(Purpose::kWeb, bound);
  }
}

TEST(Listeners, OnlyIpAddressesAreHeld) {
  Listeners listeners(1);
  EXPECT_FALSE(listeners.listen(Purpose::kWeb, "unix:/tmp/x"));
  EXPECT_FALSE(listeners.listen(Purpose::kWeb, "nonsense"));
}

}  // namespace
}  // namespace terrace::program

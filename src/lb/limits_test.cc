#include "lb/limits.h"

#include <gtest/gtest.h>

#include <vector>

#include "lb/policy_fixture.h"

namespace terrace::lb {
namespace {

using Answer = ClientLimits::Answer;
using std::chrono::milliseconds;
using std::chrono::seconds;

net::Ip ip(std::string_view text) { return net::Ip::parse(text).value(); }

// Requests that are answered at once; how many were let through.
int admitted(ClientLimits& limits, const net::Ip& client, Time now, int requests) {
  int yes = 0;
  for (int i = 0; i < requests; ++i) {
    const ClientLimits::Admission one = limits.admit(client, now);
    yes += one.answer == Answer::kYes;
    if (one.answer == Answer::kYes) limits.leave(one.slot);
  }
  return yes;
}

TEST(ClientLimits, ABurstIsLetThroughAndThenTheRate) {
  VirtualClock clock;
  ClientLimits limits({.per_second = 10, .burst = 5}, 1);
  const net::Ip client = ip("192.0.2.1");
  EXPECT_EQ(admitted(limits, client, clock.now(), 20), 5);
  clock.advance(milliseconds(100));
  EXPECT_EQ(admitted(limits, client, clock.now(), 20), 1);
  clock.advance(seconds(60));
  EXPECT_EQ(admitted(limits, client, clock.now(), 20), 5);
}

TEST(ClientLimits, NeverMoreThanTheRateAndTheBurstInAnyTime) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE("TERRACE_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  VirtualClock clock;
  ClientLimits limits({.per_second = 100, .burst = 20}, seed);
  std::vector<Time> let;
  for (int i = 0; i < 20'000; ++i) {
    clock.advance(Duration(random() % 5'000'000));
    if (admitted(limits, ip("192.0.2.1"), clock.now(), 1) == 1) let.push_back(clock.now());
  }
  for (size_t begin = 0; begin < let.size(); begin += 100) {
    for (size_t end = begin + 1; end < std::min(let.size(), begin + 500); ++end) {
      const double time = std::chrono::duration<double>(let[end] - let[begin]).count();
      ASSERT_LE(static_cast<double>(end - begin), 20 + 100 * time + 1e-3);
    }
  }
}

TEST(ClientLimits, WhoIsTooFastIsToldWhenToComeBack) {
  VirtualClock clock;
  ClientLimits limits({.per_second = 2}, 1);
  const net::Ip client = ip("192.0.2.1");
  EXPECT_EQ(admitted(limits, client, clock.now(), 1), 1);
  const ClientLimits::Admission refused = limits.admit(client, clock.now());
  EXPECT_EQ(refused.answer, Answer::kTooFast);
  EXPECT_EQ(refused.retry_after, milliseconds(500));
  clock.advance(refused.retry_after);
  EXPECT_EQ(admitted(limits, client, clock.now(), 1), 1);
}

TEST(ClientLimits, RequestsInFlightAreLimitedUntilTheyLeave) {
  VirtualClock clock;
  ClientLimits limits({.at_once = 2}, 1);
  const net::Ip client = ip("192.0.2.1");
  const ClientLimits::Admission one = limits.admit(client, clock.now());
  EXPECT_EQ(limits.admit(client, clock.now()).answer, Answer::kYes);
  EXPECT_EQ(limits.admit(client, clock.now()).answer, Answer::kTooMany);
  limits.leave(one.slot);
  EXPECT_EQ(limits.admit(client, clock.now()).answer, Answer::kYes);
}

TEST(ClientLimits, AClientIsAnAddressOrA64) {
  VirtualClock clock;
  ClientLimits limits({.per_second = 1}, 1);
  EXPECT_EQ(admitted(limits, ip("192.0.2.1"), clock.now(), 5), 1);
  EXPECT_EQ(admitted(limits, ip("192.0.2.2"), clock.now(), 5), 1);
  EXPECT_EQ(admitted(limits, ip("::ffff:192.0.2.1"), clock.now(), 5), 0);
  EXPECT_EQ(admitted(limits, ip("2001:db8::1"), clock.now(), 5), 1);
  EXPECT_EQ(admitted(limits, ip("2001:db8::2"), clock.now(), 5), 0);
  EXPECT_EQ(admitted(limits, ip("2001:db8:0:1::1"), clock.now(), 5), 1);
  // The same four bytes as the beginning of 2001:db8::/64.
  EXPECT_EQ(admitted(limits, ip("32.1.13.184"), clock.now(), 5), 1);
}

TEST(ClientLimits, AFullTableForgetsTheQuietAndNeverWhoHasRequestsInFlight) {
  VirtualClock clock;
  ClientLimits limits({.per_second = 1, .at_once = 1, .clients_max = 8}, 1);
  const ClientLimits::Admission busy = limits.admit(ip("192.0.2.1"), clock.now());
  for (int i = 0; i < 100; ++i) {
    clock.advance(milliseconds(1));
    admitted(limits, ip("198.51.100." + std::to_string(i)), clock.now(), 1);
  }
  EXPECT_EQ(limits.admit(ip("192.0.2.1"), clock.now()).answer, Answer::kTooMany);
  EXPECT_EQ(admitted(limits, ip("198.51.100.99"), clock.now(), 1), 0);
  EXPECT_EQ(admitted(limits, ip("198.51.100.0"), clock.now(), 1), 1);
  limits.leave(busy.slot);
}

TEST(ClientLimits, WhereAllAreBusyANewOneIsLetThroughAndCounted) {
  VirtualClock clock;
  ClientLimits limits({.at_once = 1, .clients_max = 8}, 1);
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(limits.admit(ip("198.51.100." + std::to_string(i)), clock.now()).answer, Answer::kYes);
  }
  EXPECT_EQ(limits.unlimited(), 1U);
}

TEST(ClientLimits, WithoutLimitsNothingIsKept) {
  VirtualClock clock;
  ClientLimits limits({}, 1);
  const ClientLimits::Admission one = limits.admit(ip("192.0.2.1"), clock.now());
  EXPECT_EQ(one.answer, Answer::kYes);
  EXPECT_EQ(one.slot, ClientLimits::kNoSlot);
  limits.leave(one.slot);
}

}  // namespace
}  // namespace terrace::lb

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

// A core with a table of its own.
struct OneCore {
  OneCore(const ClientLimitOptions& options, uint64_t key, size_t rows = 1024) : table(key, rows) {
    limits.set_options(options, Time());
  }
  ClientTable table;
  ClientLimits limits{table};
};

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
  OneCore core({.per_second = 10, .burst = 5}, 1);
  ClientLimits& limits = core.limits;
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
  OneCore core({.per_second = 100, .burst = 20}, seed);
  ClientLimits& limits = core.limits;
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
  OneCore core({.per_second = 2}, 1);
  ClientLimits& limits = core.limits;
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
  OneCore core({.at_once = 2}, 1);
  ClientLimits& limits = core.limits;
  const net::Ip client = ip("192.0.2.1");
  const ClientLimits::Admission one = limits.admit(client, clock.now());
  EXPECT_EQ(limits.admit(client, clock.now()).answer, Answer::kYes);
  EXPECT_EQ(limits.admit(client, clock.now()).answer, Answer::kTooMany);
  limits.leave(one.slot);
  EXPECT_EQ(limits.admit(client, clock.now()).answer, Answer::kYes);
}

TEST(ClientLimits, AClientIsAnAddressOrA64) {
  VirtualClock clock;
  OneCore core({.per_second = 1}, 1);
  ClientLimits& limits = core.limits;
  EXPECT_EQ(admitted(limits, ip("192.0.2.1"), clock.now(), 5), 1);
  EXPECT_EQ(admitted(limits, ip("192.0.2.2"), clock.now(), 5), 1);
  EXPECT_EQ(admitted(limits, ip("::ffff:192.0.2.1"), clock.now(), 5), 0);
  EXPECT_EQ(admitted(limits, ip("2001:db8::1"), clock.now(), 5), 1);
  EXPECT_EQ(admitted(limits, ip("2001:db8::2"), clock.now(), 5), 0);
  EXPECT_EQ(admitted(limits, ip("2001:db8:0:1::1"), clock.now(), 5), 1);
  // The same four bytes as the beginning of 2001:db8::/64.
  EXPECT_EQ(admitted(limits, ip("32.1.13.184"), clock.now(), 5), 1);
}

TEST(ClientLimits, AFullRowForgetsOnlyThoseOfWhomThereIsNothingToKnow) {
  VirtualClock clock;
  OneCore core({.per_second = 100, .at_once = 1}, 1, 1);
  ClientLimits& limits = core.limits;
  const ClientLimits::Admission busy = limits.admit(ip("192.0.2.1"), clock.now());
  for (int i = 0; i < 100; ++i) {
    clock.advance(milliseconds(2));
    EXPECT_EQ(admitted(limits, ip("198.51.100." + std::to_string(i)), clock.now(), 1), 1);
  }
  EXPECT_EQ(limits.unlimited().get(), 0u);
  EXPECT_EQ(limits.admit(ip("192.0.2.1"), clock.now()).answer, Answer::kTooMany);
  for (int i = 96; i < 100; ++i)
    EXPECT_EQ(admitted(limits, ip("198.51.100." + std::to_string(i)), clock.now(), 1), 0);
  limits.leave(busy.slot);
  EXPECT_EQ(admitted(limits, ip("192.0.2.1"), clock.now(), 2), 1);
}

TEST(ClientLimits, WhereAllAreBusyANewOneIsLetThroughAndCounted) {
  VirtualClock clock;
  OneCore core({.at_once = 1}, 1, 1);
  std::vector<ClientLimits::Admission> all;
  for (int i = 0; i < 8; ++i) {
    all.push_back(core.limits.admit(ip("198.51.100." + std::to_string(i)), clock.now()));
    EXPECT_EQ(all.back().answer, Answer::kYes);
  }
  EXPECT_EQ(core.limits.unlimited().get(), 1u);
  for (const ClientLimits::Admission& one : all) core.limits.leave(one.slot);
  EXPECT_EQ(core.table.in_flight(), 0u);
}

TEST(ClientLimits, ClientsWhoHaveAskedTooMuchAreNotForgottenForNewOnes) {
  VirtualClock clock;
  OneCore core({.per_second = 1}, 1, 1);
  for (int i = 0; i < 7; ++i)
    EXPECT_EQ(admitted(core.limits, ip("198.51.100." + std::to_string(i)), clock.now(), 2), 1);
  EXPECT_EQ(admitted(core.limits, ip("192.0.2.1"), clock.now(), 2), 2);
  for (int i = 0; i < 7; ++i)
    EXPECT_EQ(admitted(core.limits, ip("198.51.100." + std::to_string(i)), clock.now(), 1), 0);
}

TEST(ClientLimits, CoresCountInOneTable) {
  VirtualClock clock;
  ClientTable table(1, 1);
  ClientLimits one(table);
  ClientLimits other(table);
  for (ClientLimits* core : {&one, &other})
    core->set_options({.per_second = 1, .burst = 4, .at_once = 2}, clock.now());
  const ClientLimits::Admission here = one.admit({}, clock.now());
  const ClientLimits::Admission there = other.admit({}, clock.now());
  EXPECT_EQ(one.admit({}, clock.now()).answer, Answer::kTooMany);
  EXPECT_EQ(other.admit({}, clock.now()).answer, Answer::kTooMany);
  other.leave(here.slot);
  one.leave(there.slot);
  EXPECT_EQ(admitted(one, {}, clock.now(), 9) + admitted(other, {}, clock.now(), 9), 2);
  EXPECT_EQ(one.admit({}, clock.now()).retry_after, seconds(1));
}

TEST(ClientLimits, RequestsInFlightStayCountedWhileTheLimitsChange) {
  VirtualClock clock;
  OneCore core({.at_once = 2}, 1, 1);
  const ClientLimits::Admission one = core.limits.admit({}, clock.now());
  const ClientLimits::Admission two = core.limits.admit({}, clock.now());
  core.limits.set_options({.at_once = 1}, clock.now());
  EXPECT_EQ(core.limits.admit({}, clock.now()).answer, Answer::kTooMany);
  core.limits.leave(one.slot);
  EXPECT_EQ(core.limits.admit({}, clock.now()).answer, Answer::kTooMany);
  core.limits.set_options({}, clock.now());
  const ClientLimits::Admission three = core.limits.admit({}, clock.now());
  core.limits.set_options({.per_second = 1, .at_once = 1}, clock.now());
  core.limits.leave(three.slot);
  core.limits.leave(two.slot);
  EXPECT_EQ(core.table.in_flight(), 0u);
  EXPECT_EQ(admitted(core.limits, {}, clock.now(), 3), 1);
}

TEST(ClientLimits, WithoutLimitsNothingIsKept) {
  VirtualClock clock;
  OneCore core({}, 1);
  ClientLimits& limits = core.limits;
  const ClientLimits::Admission one = limits.admit(ip("192.0.2.1"), clock.now());
  EXPECT_EQ(one.answer, Answer::kYes);
  EXPECT_EQ(one.slot, ClientLimits::kNoSlot);
  limits.leave(one.slot);
}

}  // namespace
}  // namespace terrace::lb

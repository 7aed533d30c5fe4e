#include "lb/client_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "lb/policy_fixture.h"

namespace terrace::lb {
namespace {

using Answer = ClientTable::Answer;

constexpr int kThreads = 4;
constexpr int64_t kSecond = 1'000'000'000;
constexpr uint64_t kClient = 77;

Time at(int64_t nanoseconds) { return Time(Duration(nanoseconds)); }

// Begins on all of them at the same time.
template <class Body>
void on_threads(Body body) {
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      ++ready;
      while (ready < kThreads) std::this_thread::yield();
      body(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

bool passes(ClientTable& table, const ClientRates& rates, uint64_t client, Time now) {
  const ClientTable::Admission one = table.admit(rates, client, now);
  if (one.answer == Answer::kYes) table.leave(one.slot);
  return one.answer == Answer::kYes;
}

// Time passes by the attempts of all threads, so that each is now and then behind the others.
TEST(ClientTable, OnAllThreadsTogetherAClientHasItsBurstAndItsRate) {
  constexpr int64_t kStep = 1'000;
  constexpr int kAttempts = 20'000;
  const ClientRates rates{.interval = 20'000, .early = 19 * 20'000};  // 20 at once, 50,000 per second
  for (uint64_t round = 0; round < 5; ++round) {
    ClientTable table(round, 1);
    std::atomic<int64_t> clock{kSecond};
    std::atomic<int64_t> admitted{passes(table, rates, kClient, at(clock)) ? 1 : 0};
    on_threads([&](int) {
      for (int i = 0; i < kAttempts; ++i) {
        if (passes(table, rates, kClient, at(clock += kStep))) ++admitted;
      }
    });
    const int64_t time = clock - kSecond;
    while (passes(table, rates, kClient, at(clock))) ++admitted;
    EXPECT_EQ(admitted, 20 + time / rates.interval);
    EXPECT_EQ(table.in_flight(), 0u);
  }
}

// As many at a time as `limit` says, whatever the threads do; how many there were.
int most_at_once(uint32_t limit) {
  ClientTable table(1, 1);
  const ClientRates rates{.at_once = limit};
  std::atomic<int> held{0};
  std::atomic<int> most{0};
  on_threads([&](int) {
    for (int i = 0; i < 100'000; ++i) {
      const ClientTable::Admission one = table.admit(rates, kClient, at(kSecond));
      if (one.answer != Answer::kYes) continue;
      const int now = ++held;
      for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
      }
      --held;
      table.leave(one.slot);
    }
  });
  EXPECT_EQ(table.in_flight(), 0u);
  for (uint32_t i = 0; i < limit; ++i)
    EXPECT_EQ(table.admit(rates, kClient, at(kSecond)).answer, Answer::kYes);
  EXPECT_EQ(table.admit(rates, kClient, at(kSecond)).answer, Answer::kTooMany);
  return most;
}

TEST(ClientTable, OnAllThreadsTogetherAClientHasSoManyRequestsAtOnce) {
  EXPECT_EQ(most_at_once(1), 1);
  EXPECT_LE(most_at_once(2), 2);
  EXPECT_LE(most_at_once(3), 3);
}

// Of one row, for whose places more clients compete than it has: they come and go all the
// time, and none of them is ever let through more than once in its interval.
TEST(ClientTable, ClientsThatPushEachOtherOutKeepTheirRates) {
  constexpr int kClients = 12;
  constexpr int kAttempts = 60'000;
  const uint64_t seed = test_seed();
  SCOPED_TRACE("TERRACE_SEED=" + std::to_string(seed));
  const ClientRates rates{.interval = 100'000};
  ClientTable table(seed, 1);
  std::atomic<int64_t> clock{kSecond};
  std::vector<std::vector<int64_t>> passed(size_t{kThreads} * kClients);
  on_threads([&](int thread) {
    for (int i = 0; i < kAttempts; ++i) {
      // All threads ask for the same client for a while, as it is new.
      const int64_t now = clock += 2'500;
      const auto client = static_cast<size_t>(now / 20'000 % kClients);
      const ClientTable::Admission one = table.admit(rates, client, at(now));
      if (one.slot == ClientTable::kNoSlot) continue;
      passed[static_cast<size_t>(thread) * kClients + client].push_back(now);
      table.leave(one.slot);
    }
  });
  EXPECT_EQ(table.in_flight(), 0u);
  for (size_t client = 0; client < kClients; ++client) {
    std::vector<int64_t> all;
    for (size_t thread = 0; thread < kThreads; ++thread) {
      const std::vector<int64_t>& some = passed[thread * kClients + client];
      all.insert(all.end(), some.begin(), some.end());
    }
    std::ranges::sort(all);
    EXPECT_GT(all.size(), 100u);
    for (size_t i = 1; i < all.size(); ++i) ASSERT_GE(all[i] - all[i - 1], rates.interval) << client;
  }
}

// The limit is of each client, although their places change hands under the threads.
TEST(ClientTable, ARequestInFlightIsNeverCountedForAnotherClient) {
  constexpr uint64_t kClients = 16;
  const ClientRates rates{.at_once = 1};
  ClientTable table(1, 1);
  std::array<std::atomic<int>, kClients> held{};
  std::atomic<int> wrong{0};
  std::atomic<uint64_t> attempts{0};
  on_threads([&](int) {
    for (int i = 0; i < 20'000; ++i) {
      // The same one for a while, so that threads meet.
      const uint64_t client = attempts++ / 32 % kClients;
      const ClientTable::Admission one = table.admit(rates, client, at(kSecond + i));
      if (one.slot == ClientTable::kNoSlot) continue;
      if (held[client].fetch_add(1) != 0) ++wrong;
      held[client].fetch_sub(1);
      table.leave(one.slot);
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(table.in_flight(), 0u);
}

TEST(ClientTable, WhoHasAskedTooMuchWaitsNoLongerThanNewRatesSay) {
  ClientTable table(1, 1);
  const ClientRates slow{.interval = 60 * kSecond, .early = 9 * 60 * kSecond};
  const ClientRates quick{.interval = kSecond / 100, .early = kSecond / 10};
  while (passes(table, slow, kClient, at(kSecond))) {
  }
  EXPECT_EQ(table.admit(slow, kClient, at(kSecond)).retry_after, std::chrono::minutes(1));
  table.shorten(quick, at(kSecond));
  EXPECT_EQ(table.admit(quick, kClient, at(kSecond)).retry_after, std::chrono::milliseconds(10));
  EXPECT_TRUE(passes(table, quick, kClient, at(kSecond + kSecond / 100)));
}

TEST(ClientTable, ALeftPlaceIsWorthNothingToWhoComesNext) {
  ClientTable table(1, 1);
  const ClientRates rates{.interval = kSecond};
  for (uint64_t client = 1; client <= 10'000; ++client) {
    ASSERT_TRUE(passes(table, rates, client, at(static_cast<int64_t>(client) * kSecond)));
    ASSERT_FALSE(passes(table, rates, client, at(static_cast<int64_t>(client) * kSecond)));
  }
}

}  // namespace
}  // namespace terrace::lb

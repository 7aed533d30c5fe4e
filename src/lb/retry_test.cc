#include "lb/retry.h"

#include <gtest/gtest.h>

namespace terrace::lb {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Every combination of what may have happened to a try.
template <class Check>
void for_each_try(Check check) {
  for (int bits = 0; bits < 16; ++bits) {
    for (int tries = 1; tries <= kTriesMax; ++tries) {
      check(FailedTry{.idempotent = (bits & 1) != 0,
                      .perhaps_processed = (bits & 2) != 0,
                      .body_gone = (bits & 4) != 0,
                      .response_begun = (bits & 8) != 0,
                      .tries = tries});
    }
  }
}

TEST(Retry, NothingIsDoneTwiceThatMustNotBe) {
  for_each_try([](const FailedTry& failed) {
    if (!failed.idempotent && failed.perhaps_processed) EXPECT_FALSE(may_retry(failed));
  });
}

TEST(Retry, NothingIsSentAgainThatIsNotWholeAnyMoreOrWasAnswered) {
  for_each_try([](const FailedTry& failed) {
    if (failed.body_gone || failed.response_begun) EXPECT_FALSE(may_retry(failed));
  });
}

TEST(Retry, TriesEnd) {
  for_each_try([](const FailedTry& failed) {
    if (failed.tries == kTriesMax) EXPECT_FALSE(may_retry(failed));
  });
}

TEST(Retry, WhatIsSafeIsSentAgain) {
  EXPECT_TRUE(may_retry({.idempotent = true}));
  EXPECT_TRUE(may_retry({.idempotent = false, .perhaps_processed = false}));
  EXPECT_TRUE(may_retry({.idempotent = true, .tries = 2}));
}

// Requests at a constant rate, of which each fails and wants a retry.
int retries_in(RetryBudget& budget, VirtualClock& clock, Duration time, int per_second) {
  int retries = 0;
  for (const Time end = clock.now() + time; clock.now() < end;
       clock.advance(Duration(seconds(1)) / per_second)) {
    budget.request(clock.now());
    retries += budget.retry(clock.now());
  }
  return retries;
}

TEST(RetryBudget, InALongOutageRetriesAreAFifthOfTheRequestsAndTheFreeOnes) {
  VirtualClock clock;
  RetryBudget budget({}, clock.now());
  retries_in(budget, clock, seconds(60), 1000);
  EXPECT_NEAR(retries_in(budget, clock, seconds(60), 1000), 60 * (200 + 10), 200);
}

TEST(RetryBudget, ABusySiteHasRoomForAllThatWasInFlightAtOneServerThatDied) {
  VirtualClock clock;
  RetryBudget budget({}, clock.now());
  for (int i = 0; i < 30'000; ++i) {
    budget.request(clock.now());
    clock.advance(milliseconds(1));
  }
  int retries = 0;
  while (budget.retry(clock.now())) ++retries;
  // 1000 requests a second that take a second each at three servers: 334 were in flight.
  EXPECT_GT(retries, 1500);
}

TEST(RetryBudget, AQuietSiteHasAFewFree) {
  VirtualClock clock;
  RetryBudget budget({}, clock.now());
  EXPECT_EQ(retries_in(budget, clock, seconds(100), 5), 500);
}

TEST(RetryBudget, WithoutAShareAndFreeOnesThereAreNone) {
  VirtualClock clock;
  RetryBudget budget({.share = 0, .free_per_second = 0}, clock.now());
  EXPECT_EQ(retries_in(budget, clock, seconds(10), 100), 0);
}

}  // namespace
}  // namespace terrace::lb

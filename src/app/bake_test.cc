#include "app/bake.h"

#include <gtest/gtest.h>

namespace terrace::app {
namespace {

using std::chrono::milliseconds;

size_t bucket_of(Duration duration) {
  size_t i = 0;
  while (i < Histogram::kBoundsMicroseconds.size() &&
         duration > std::chrono::microseconds(Histogram::kBoundsMicroseconds[i]))
    ++i;
  return i;
}

// Answers that took 20 ms each, `errors` of them 5xx, `slow` of them as long as said.
BakeFigures figures(uint64_t answers, uint64_t errors = 0, uint64_t slow = 0, Duration how_slow = {}) {
  BakeFigures made{.requests = answers, .errors = errors, .failures = 0};
  made.durations[bucket_of(milliseconds(20))] = answers - slow;
  made.durations[bucket_of(how_slow)] += slow;
  return made;
}

BakeVerdict verdict(const BakeFigures& before, const BakeFigures& after, bool over = true) {
  return compare({.before = before, .after = after, .warm = after, .over = over});
}

TEST(BakeTest, WithoutTrafficTheNewReleaseStays) {
  const BakeVerdict made = verdict(figures(1000), {});
  EXPECT_FALSE(made.worse);
  EXPECT_EQ(made.reason, "0 requests are too few to compare");
}

TEST(BakeTest, FewRequestsSayNothingEvenWhenAllAreBad) {
  EXPECT_FALSE(verdict(figures(1000), figures(19, 19)).worse);
  EXPECT_TRUE(verdict(figures(1000), figures(20, 20)).worse);
}

TEST(BakeTest, AClearRiseOfErrorsIsWorse) {
  const BakeVerdict made = verdict(figures(2000, 2), figures(1000, 100));
  EXPECT_TRUE(made.worse);
  EXPECT_EQ(made.reason,
            "5xx and broken answers are 10.0 % (100 of 1000 requests); before: 0.1 % (2 of 2000 requests)");
}

TEST(BakeTest, RequestsThatWereNotAnsweredCountLikeErrors) {
  BakeFigures broken = figures(950);
  broken.requests = 1000;
  broken.failures = 50;
  EXPECT_TRUE(verdict(figures(2000), broken).worse);
}

TEST(BakeTest, AFewErrorsMoreAreNoise) {
  EXPECT_FALSE(verdict(figures(2000), figures(1000, 15)).worse);       // under two points
  EXPECT_FALSE(verdict(figures(2000), figures(100, 4)).worse);         // under five
  EXPECT_FALSE(verdict(figures(60, 3), figures(60, 7)).worse);         // may be chance
  EXPECT_TRUE(verdict(figures(6000, 300), figures(6000, 700)).worse);  // cannot
}

TEST(BakeTest, BeforeTheEndOnlyADisasterCounts) {
  EXPECT_FALSE(verdict(figures(2000), figures(500, 75), false).worse);
  EXPECT_FALSE(verdict(figures(2000), figures(30, 19), false).worse);
  EXPECT_TRUE(verdict(figures(2000), figures(500, 150), false).worse);
  EXPECT_FALSE(verdict(figures(2000), figures(500, 0, 400, milliseconds(900)), false).worse);
}

TEST(BakeTest, EqualOnesAreKeptWithTheirFigures) {
  const BakeVerdict made = verdict(figures(2000, 2), figures(1000, 1));
  EXPECT_FALSE(made.worse);
  EXPECT_EQ(
      made.reason,
      "0.1 % (1 of 1000 requests) bad, p99 at most 25 ms; before: 0.1 % (2 of 2000 requests) bad, p99 at "
      "most 25 ms");
}

TEST(BakeTest, ANewOneIsNotWorseThanAnOldOneThatWasBadAlready) {
  EXPECT_FALSE(verdict(figures(1000, 500), figures(1000, 510)).worse);
  EXPECT_FALSE(
      verdict(figures(1000, 0, 300, milliseconds(9000)), figures(1000, 0, 400, milliseconds(9000))).worse);
  EXPECT_FALSE(
      verdict(figures(1000, 0, 300, milliseconds(20'000)), figures(1000, 0, 900, milliseconds(20'000)))
          .worse);
}

TEST(BakeTest, AgainstAQuietOldOneHalfOfAllHaveToBeBad) {
  EXPECT_FALSE(verdict({}, figures(100, 40)).worse);
  const BakeVerdict made = verdict({}, figures(100, 60));
  EXPECT_TRUE(made.worse);
  EXPECT_EQ(made.reason, "5xx and broken answers are 60.0 % (60 of 100 requests); no requests before");
}

TEST(BakeTest, AClearRiseOfThePercentileIsWorse) {
  const BakeVerdict made = verdict(figures(2000), figures(2000, 0, 100, milliseconds(900)));
  EXPECT_TRUE(made.worse);
  EXPECT_EQ(made.reason,
            "more than one answer of a hundred takes over 250 ms (5.0 % of 2000); before: at most 25 ms");
}

TEST(BakeTest, APercentileThatStaysShortOrIsNotDoubledIsNoise) {
  // 25 to 250 ms: ten times, yet nobody waits.
  EXPECT_FALSE(verdict(figures(2000), figures(2000, 0, 1000, milliseconds(240))).worse);
  // At most 500 ms before: over 500 is not yet double.
  const BakeFigures slow = figures(2000, 0, 100, milliseconds(400));
  EXPECT_FALSE(verdict(slow, figures(2000, 0, 100, milliseconds(900))).worse);
  EXPECT_TRUE(verdict(slow, figures(2000, 0, 100, milliseconds(1500))).worse);
  // A handful of slow ones.
  EXPECT_FALSE(verdict(figures(2000), figures(300, 0, 15, milliseconds(900))).worse);
  EXPECT_FALSE(verdict(figures(99), figures(2000, 0, 100, milliseconds(900))).worse);
}

TEST(BakeTest, TheFirstSecondsOfANewProcessMayBeSlow) {
  const BakeFigures cold = figures(2000, 0, 200, milliseconds(900));
  EXPECT_FALSE(compare({.before = figures(2000), .after = cold, .warm = figures(1800), .over = true}).worse);
}

TEST(BakeTest, CountersThatBeganAnewHaveCountedAllThatTheyShow) {
  BakeFigures sum = grown(figures(100, 10), figures(150, 12));
  EXPECT_EQ(sum.requests, 50u);
  EXPECT_EQ(sum.errors, 2u);
  sum += grown(figures(150, 12), figures(30, 1));
  EXPECT_EQ(sum.requests, 80u);
  EXPECT_EQ(sum.errors, 3u);
}

}  // namespace
}  // namespace terrace::app

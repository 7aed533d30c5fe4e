#include "bench/histogram.h"

#include <gtest/gtest.h>

namespace terrace::bench {
namespace {

TEST(Histogram, IsEmptyAtFirst) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.percentile(0.99), Duration(0));
  EXPECT_EQ(histogram.mean_nanoseconds(), 0);
}

TEST(Histogram, GivesPercentilesThatAreAtMostOnePartIn128TooHigh) {
  Histogram histogram;
  for (int64_t i = 1; i <= 100'000; ++i) histogram.record(std::chrono::microseconds(i));
  for (const double fraction : {0.001, 0.5, 0.9, 0.99, 0.999}) {
    const double exact = fraction * 100'000 * 1000;
    const auto found = static_cast<double>(histogram.percentile(fraction).count());
    EXPECT_GE(found, exact);
    EXPECT_LE(found, exact * (1 + 1.0 / 128));
  }
  EXPECT_EQ(histogram.max(), std::chrono::milliseconds(100));
  EXPECT_EQ(histogram.percentile(1), histogram.max());
  EXPECT_NEAR(histogram.mean_nanoseconds(), 50'000'500, 1);
}

TEST(Histogram, KeepsSmallValuesExactly) {
  Histogram histogram;
  histogram.record(Duration(0));
  histogram.record(Duration(255));
  EXPECT_EQ(histogram.percentile(0.5), Duration(0));
  EXPECT_EQ(histogram.percentile(1), Duration(255));
}

TEST(Histogram, CountsWhatIsTooLongAsItsGreatestValue) {
  Histogram histogram;
  histogram.record(std::chrono::hours(5));
  histogram.record(Duration(-1));
  EXPECT_EQ(histogram.count(), 2U);
  EXPECT_EQ(histogram.max(), Duration((int64_t{1} << 40) - 1));
}

}  // namespace
}  // namespace terrace::bench

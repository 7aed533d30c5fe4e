#include "base/metrics.h"

#include <gtest/gtest.h>

namespace terrace {
namespace {

using namespace std::chrono_literals;

TEST(Histogram, PutsADurationIntoTheFirstBucketWhoseBoundIsNotBelowIt) {
  Histogram histogram;
  histogram.observe(500us);
  histogram.observe(501us);
  histogram.observe(11s);
  EXPECT_EQ(histogram.bucket(0), 1u);
  EXPECT_EQ(histogram.bucket(1), 1u);
  EXPECT_EQ(histogram.bucket(Histogram::kBuckets - 1), 1u);
}

TEST(Gauge, GoesUpAndDown) {
  Gauge gauge;
  gauge.add();
  gauge.add(4);
  gauge.subtract(2);
  EXPECT_EQ(gauge.get(), 3);
}

}  // namespace
}  // namespace terrace

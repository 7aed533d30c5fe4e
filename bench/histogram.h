#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace terrace::bench {

// Latencies in buckets whose width grows with the value, as HdrHistogram
// (Tene 2012) does: 128 buckets for each doubling, so a percentile is at most
// 1/128 above the true one. From 1 ns to 2^40 ns (18 minutes); more counts as that.
class Histogram {
 public:
  Histogram();
  void record(Duration latency);

  uint64_t count() const { return count_; }
  // The latency that `fraction` (0 to 1) of the records do not exceed; 0 without records.
  Duration percentile(double fraction) const;
  Duration max() const { return Duration(max_); }
  double mean_nanoseconds() const;

 private:
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  int64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace terrace::bench

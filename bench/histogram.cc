#include "bench/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace terrace::bench {
namespace {

constexpr int kSubBits = 7;
constexpr uint64_t kSub = 1 << kSubBits;
constexpr int kValueBits = 40;

// Values below 2 * kSub have a bucket each; above, the leading kSubBits + 1 bits
// of the value name its bucket.
size_t bucket_of(uint64_t value) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - (kSubBits + 1));
  return static_cast<size_t>(shift) * kSub + (value >> shift);
}

// The largest value that falls into `bucket`.
int64_t value_of(size_t bucket) {
  if (bucket < 2 * kSub) return static_cast<int64_t>(bucket);
  const size_t shift = bucket / kSub - 1;
  const uint64_t leading = bucket - shift * kSub;
  return static_cast<int64_t>(((leading + 1) << shift) - 1);
}

}  // namespace

Histogram::Histogram() : buckets_((kValueBits - kSubBits + 1) * kSub) {}

void Histogram::record(Duration latency) {
  const int64_t value = std::clamp<int64_t>(latency.count(), 0, (int64_t{1} << kValueBits) - 1);
  ++buckets_[bucket_of(static_cast<uint64_t>(value))];
  ++count_;
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value);
}

Duration Histogram::percentile(double fraction) const {
  const auto wanted = static_cast<uint64_t>(std::ceil(fraction * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted && seen > 0) return Duration(std::min(value_of(i), max_));
  }
  return Duration(0);
}

double Histogram::mean_nanoseconds() const { return count_ > 0 ? sum_ / static_cast<double>(count_) : 0; }

}  // namespace terrace::bench

#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace terrace {

// Metrics are per core: one thread writes, any thread reads. A write is a plain
// load and store of a relaxed atomic (no locked instruction), so it costs what
// an ordinary increment costs. Readers sum over the cores.
class Counter {
 public:
  void add(uint64_t n = 1) { set(get() + n); }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  void set(uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  std::atomic<uint64_t> value_{0};
};

// A value that goes up and down: requests in flight, open connections.
class Gauge {
 public:
  void add(int64_t n = 1) { value_.store(get() + n, std::memory_order_relaxed); }
  void subtract(int64_t n = 1) { add(-n); }
  int64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// Durations in cumulative buckets, as Prometheus histograms want them.
// Upper bounds in seconds: 0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25
// 0.5 1 2.5 5 10 and +Inf.
class Histogram {
 public:
  static constexpr std::array<int64_t, 14> kBoundsMicroseconds = {
      500,     1000,    2500,    5000,      10'000,    25'000,    50'000,
      100'000, 250'000, 500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000};
  static constexpr int kBuckets = static_cast<int>(kBoundsMicroseconds.size()) + 1;

  void observe(Duration duration);
  // Observations in bucket `i` alone (not cumulative).
  uint64_t bucket(int i) const { return buckets_[static_cast<size_t>(i)].get(); }
  uint64_t sum_nanoseconds() const { return sum_nanoseconds_.get(); }

 private:
  std::array<Counter, kBuckets> buckets_;
  Counter sum_nanoseconds_;
};

}  // namespace terrace

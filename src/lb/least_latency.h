#pragma once

#include <array>

#include "lb/balance.h"

namespace terrace::lb {

// Two random choices, each drawn in proportion to a backend's speed and weight; of the
// two the one with fewer requests in flight for its weight (Mitzenmacher 2001, "The power
// of two choices"). The speed is the inverse of a peak EWMA of the latency (Finagle's
// Balancers.aperturePeakEwma): a slower answer counts at once, a faster one by and by.
//
// So a backend that is ten times slower gets a tenth of what the others get: enough to
// notice when it is well again. Finagle instead compares latency times requests in
// flight, which leaves a slow backend next to nothing.
class LeastLatency final : public Policy {
 public:
  // In this time an old answer fades to a third.
  static constexpr Duration kMemory = std::chrono::seconds(10);

  explicit LeastLatency(Random& random) : random_(random) { speed_.fill(1); }
  std::optional<size_t> pick(std::span<const Load> loads, BackendSet open, const Key& key, Time now) override;
  void answered(size_t backend, Duration latency, Time now) override;
  void forget(size_t backend) override;

 private:
  struct Seen {
    double latency = 0;  // seconds; zero: it has not answered yet
    Time at;             // of the last answer
  };
  void judge(size_t count, Time now);
  std::optional<size_t> draw(std::span<const Load> loads, BackendSet open);

  Random& random_;
  std::array<Seen, kBackendsMax> seen_{};
  // Answers per second of one request after the other; 1 for all before the first answer.
  std::array<double, kBackendsMax> speed_{};
  Time judged_;
  bool stale_ = true;
};

}  // namespace terrace::lb

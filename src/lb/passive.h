#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "lb/backend_set.h"

namespace terrace::lb {

// What one core sees of the answers, and when that is too bad. A verdict is only a wish:
// the pool decides whether somebody may be ejected.
enum class Verdict : uint8_t {
  kNone,
  kFailures,  // no answer, or a broken one, so often in a row
  kErrors,    // whole answers with 5xx so often in a row, while others give better ones
  kLatency,   // far slower than the others, for two intervals
};
std::string_view reason_of(Verdict verdict);

struct PassiveOptions {
  uint32_t failures_row = 5;  // zero: no number is too many
  uint32_t errors_row = 5;    // the same
  // Of the others' median; zero: slow backends are not ejected.
  double latency_factor = 10;
  Duration latency_floor = std::chrono::milliseconds(250);  // faster is never too slow
  Duration interval = std::chrono::seconds(10);
  uint32_t samples_min = 20;  // answers in an interval, to be compared at all
};

class Passive {
 public:
  void set_options(const PassiveOptions& options) { options_ = options; }

  void failed(size_t backend);
  // `status` 500 and above counts as an error, but a row of them only where some other of
  // `compared` has no such row: what fails everywhere is the application, and an address
  // that always answers 500 must not empty the pool.
  void answered(size_t backend, int status, Duration latency, BackendSet compared);
  // Compares the latencies when an interval is over. Call about ten times a second.
  void tick(Time now);
  // A new backend takes this position, or the old one was ejected.
  void forget(size_t backend);

  // It should be ejected, and nobody has asked yet.
  bool is_open(size_t backend) const { return open_.contains(backend); }
  // Who should be ejected; each once.
  BackendSet take_verdicts() { return std::exchange(open_, {}); }
  Verdict verdict(size_t backend) const { return seen_[backend].verdict; }

 private:
  struct Seen {
    uint32_t failures = 0;  // in a row
    uint32_t errors = 0;    // in a row
    uint32_t samples = 0;   // in this interval
    Duration latencies{0};  // their sum
    bool was_slow = false;  // in the interval before
    Verdict verdict = Verdict::kNone;
  };

  void say(size_t backend, Verdict verdict);
  bool another_is_better(size_t backend, BackendSet compared) const;
  Duration median_of_others(size_t backend) const;
  void compare_latencies();

  PassiveOptions options_;
  std::array<Seen, kBackendsMax> seen_{};
  BackendSet open_;
  Time interval_ends_;
};

}  // namespace terrace::lb

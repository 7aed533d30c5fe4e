#include "lb/passive.h"

#include <algorithm>

namespace terrace::lb {
namespace {

constexpr int kErrorMin = 500;

}  // namespace

std::string_view reason_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kNone:
      return "";
    case Verdict::kFailures:
      return "several requests in a row got no whole answer";
    case Verdict::kErrors:
      return "several answers in a row were errors (5xx), while others gave better ones";
    case Verdict::kLatency:
      return "far slower than the others";
  }
  return "";
}

void Passive::failed(size_t backend) {
  const uint32_t failures = ++seen_[backend].failures;
  if (options_.failures_row > 0 && failures >= options_.failures_row) say(backend, Verdict::kFailures);
}

void Passive::answered(size_t backend, int status, Duration latency, BackendSet compared) {
  Seen& seen = seen_[backend];
  seen.failures = 0;
  ++seen.samples;
  seen.latencies += latency;
  seen.errors = status >= kErrorMin ? seen.errors + 1 : 0;
  const bool too_many = options_.errors_row > 0 && seen.errors >= options_.errors_row;
  if (too_many && another_is_better(backend, compared)) {
    say(backend, Verdict::kErrors);
  }
}

void Passive::tick(Time now) {
  if (now < interval_ends_) return;
  interval_ends_ = now + options_.interval;
  compare_latencies();
}

void Passive::forget(size_t backend) {
  seen_[backend] = {};
  open_.remove(backend);
}

// The row begins anew, so that a wish which was not granted is not repeated at once.
void Passive::say(size_t backend, Verdict verdict) {
  Seen& seen = seen_[backend];
  seen.failures = 0;
  seen.errors = 0;
  seen.verdict = verdict;
  open_.add(backend);
}

bool Passive::another_is_better(size_t backend, BackendSet compared) const {
  compared.remove(backend);
  for (size_t other : compared) {
    if (seen_[other].errors <= options_.errors_row / 2) return true;
  }
  return false;
}

// The lower one of an even number, so that of two backends the other is the measure.
Duration Passive::median_of_others(size_t backend) const {
  std::array<Duration, kBackendsMax> means;
  size_t count = 0;
  for (size_t i = 0; i < kBackendsMax; ++i) {
    if (i != backend && seen_[i].samples >= options_.samples_min)
      means[count++] = seen_[i].latencies / seen_[i].samples;
  }
  if (count == 0) return {};
  const auto middle = means.begin() + static_cast<ptrdiff_t>((count - 1) / 2);
  std::nth_element(means.begin(), middle, means.begin() + static_cast<ptrdiff_t>(count));
  return *middle;
}

void Passive::compare_latencies() {
  if (options_.latency_factor > 0) {
    for (size_t i = 0; i < kBackendsMax; ++i) {
      Seen& seen = seen_[i];
      if (seen.samples < options_.samples_min) continue;
      const Duration mean = seen.latencies / seen.samples;
      const Duration others = median_of_others(i);
      const bool slow =
          others > Duration(0) && mean > options_.latency_floor &&
          static_cast<double>(mean.count()) > options_.latency_factor * static_cast<double>(others.count());
      if (slow && seen.was_slow) say(i, Verdict::kLatency);
      seen.was_slow = slow;
    }
  }
  for (Seen& seen : seen_) {
    seen.samples = 0;
    seen.latencies = {};
  }
}

}  // namespace terrace::lb

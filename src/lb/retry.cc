#include "lb/retry.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace terrace::lb {
namespace {

using Seconds = std::chrono::duration<double>;

}  // namespace

bool may_retry(const FailedTry& failed) {
  if (failed.tries >= kTriesMax || failed.response_begun || failed.body_gone) return false;
  return failed.idempotent || !failed.perhaps_processed;
}

RetryBudget::RetryBudget(const Options& options, Time now)
    : options_(options), balance_(options.free_per_second * Seconds(kMemory).count()), at_(now) {}

void RetryBudget::request(Time now) {
  forget(now);
  balance_ += options_.share;
}

bool RetryBudget::retry(Time now) {
  forget(now);
  if (balance_ < 1) return false;
  balance_ -= 1;
  return true;
}

// Fades towards what is free. Between two calls of one millisecond nothing is computed.
void RetryBudget::forget(Time now) {
  const Duration passed = now - at_;
  if (passed < std::chrono::milliseconds(1)) return;
  at_ = now;
  const double free = options_.free_per_second * Seconds(kMemory).count();
  const double kept = std::exp(-Seconds(passed) / Seconds(kMemory));
  balance_ = free + (balance_ - free) * kept;
}

}  // namespace terrace::lb

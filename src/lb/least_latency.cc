#include "lb/least_latency.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace terrace::lb {
namespace {

using Seconds = std::chrono::duration<double>;

// Speeds are computed anew at most this often, whatever the rate of requests.
constexpr Duration kJudgeEvery = std::chrono::milliseconds(10);
// No answer is faster than this, so that no backend seems infinitely fast.
constexpr double kLatencyMin = 1e-6;

double faded(Duration age) { return std::exp(-Seconds(age) / Seconds(LeastLatency::kMemory)); }

}  // namespace

void LeastLatency::answered(size_t backend, Duration latency, Time now) {
  Seen& seen = seen_[backend];
  const double sample = std::max(Seconds(latency).count(), kLatencyMin);
  const double old = sample < seen.latency ? faded(now - seen.at) : 0;
  if (seen.latency == 0) judged_ = {};
  seen.latency = seen.latency * old + sample * (1 - old);
  seen.at = now;
  stale_ = true;
}

void LeastLatency::forget(size_t backend) {
  seen_[backend] = {};
  stale_ = true;
}

// What was not heard of for long is thought to be as fast as the fastest: it is asked
// again, and says so itself if it is not.
void LeastLatency::judge(size_t count, Time now) {
  double least = 0;
  for (size_t i = 0; i < count; ++i) {
    if (seen_[i].latency > 0 && (least == 0 || seen_[i].latency < least)) least = seen_[i].latency;
  }
  for (size_t i = 0; i < count; ++i) {
    const Seen& seen = seen_[i];
    const double more = seen.latency > 0 ? (seen.latency - least) * faded(now - seen.at) : 0;
    speed_[i] = least > 0 ? 1 / (least + more) : 1;
  }
  judged_ = now;
  stale_ = false;
}

std::optional<size_t> LeastLatency::draw(std::span<const Load> loads, BackendSet open) {
  double total = 0;
  for (size_t i : open) total += speed_[i] * loads[i].weight;
  if (total == 0) return std::nullopt;
  constexpr double kUnit = 0x1p-53;
  double left = static_cast<double>(random_.next() >> 11) * kUnit * total;
  std::optional<size_t> drawn;
  for (size_t i : open) {
    if (loads[i].weight == 0) continue;
    drawn = i;
    left -= speed_[i] * loads[i].weight;
    if (left < 0) break;
  }
  return drawn;
}

std::optional<size_t> LeastLatency::pick(std::span<const Load> loads, BackendSet open, const Key&, Time now) {
  const Duration age = now - judged_;
  if ((stale_ && age >= kJudgeEvery) || age >= kMemory / 100) judge(loads.size(), now);
  const std::optional<size_t> one = draw(loads, open);
  if (!one) return one;
  open.remove(*one);
  const std::optional<size_t> other = draw(loads, open);
  if (!other) return one;
  const uint64_t ones = uint64_t{loads[*one].in_flight} * loads[*other].weight;
  const uint64_t others = uint64_t{loads[*other].in_flight} * loads[*one].weight;
  return others < ones ? other : one;
}

}  // namespace terrace::lb

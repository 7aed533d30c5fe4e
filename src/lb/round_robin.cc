#include "lb/round_robin.h"

#include <algorithm>

namespace terrace::lb {
namespace {

// Nobody can be owed more requests than this while the set stays the same: 1/2 + 1/3 + …
// up to kBackendsMax is below four.
constexpr int64_t kOwedMax = 4;

int64_t total_weight(std::span<const Load> loads, BackendSet open) {
  int64_t total = 0;
  for (size_t i : open) total += loads[i].weight;
  return total;
}

}  // namespace

std::optional<size_t> RoundRobin::pick(std::span<const Load> loads, BackendSet open, const Key&, Time) {
  return pick(loads, open);
}

std::optional<size_t> RoundRobin::pick(std::span<const Load> loads, BackendSet open) {
  const int64_t total = total_weight(loads, open);
  std::optional<size_t> best;
  for (size_t step = 0; step < loads.size(); ++step) {
    const size_t i = (first_ + step) % loads.size();
    if (!open.contains(i) || loads[i].weight == 0) continue;
    // A debt from among heavier backends is not paid for many rounds among lighter ones.
    owed_[i] = std::clamp(owed_[i], -total, kOwedMax * total) + loads[i].weight;
    if (!best || owed_[i] > owed_[*best]) best = i;
  }
  if (best) owed_[*best] -= total;
  return best;
}

}  // namespace terrace::lb

#include "lb/consistent_hash.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace terrace::lb {
namespace {

// The final mix of splitmix64: each bit of the key moves each bit of the outcome.
uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// Of the pair, for equal weights: its order is all that matters then.
double plain(uint64_t key, const Load& load) { return static_cast<double>(mixed(key ^ load.id) >> 11); }

// -weight / ln(u) with u in (0, 1): the highest of all is a backend's with a chance in
// proportion to its weight.
double weighted(uint64_t key, const Load& load) {
  constexpr double kUnit = 0x1p-53;
  const double u = (static_cast<double>(mixed(key ^ load.id) >> 11) + 0.5) * kUnit;
  return -static_cast<double>(load.weight) / std::log(u);
}

bool equal_weights(std::span<const Load> loads, BackendSet open) {
  for (size_t i : open) {
    if (loads[i].weight != loads[open.front()].weight) return false;
  }
  return true;
}

size_t best_of(const std::array<double, kBackendsMax>& score, BackendSet among) {
  size_t best = among.front();
  for (size_t i : among) {
    if (score[i] > score[best]) best = i;
  }
  return best;
}

// ceil(factor * (all + 1) * weight / total), and this request as the one more.
bool has_room(const Load& load, uint64_t in_flight, uint64_t weight) {
  const double share = ConsistentHash::kLoadFactor * static_cast<double>(in_flight + 1) *
                       static_cast<double>(load.weight) / static_cast<double>(weight);
  return load.in_flight < std::max(std::ceil(share), double{ConsistentHash::kLoadFloor});
}

}  // namespace

std::optional<size_t> ConsistentHash::pick(std::span<const Load> loads, BackendSet open, const Key& key,
                                           Time) {
  if (!key) return without_key_.pick(loads, open);
  uint64_t in_flight = 0;
  uint64_t weight = 0;
  for (size_t i : open) {
    if (loads[i].weight == 0) open.remove(i);
    in_flight += loads[i].weight == 0 ? 0 : loads[i].in_flight;
    weight += loads[i].weight;
  }
  if (open.empty()) return std::nullopt;
  const bool equal = equal_weights(loads, open);
  std::array<double, kBackendsMax> score;
  for (size_t i : open) score[i] = equal ? plain(*key, loads[i]) : weighted(*key, loads[i]);
  size_t best = best_of(score, open);
  // Ends: the shares of all sum up to more than what is in flight.
  while (bound_ == Loads::kBounded && open.size() > 1 && !has_room(loads[best], in_flight, weight)) {
    open.remove(best);
    best = best_of(score, open);
  }
  return best;
}

}  // namespace terrace::lb

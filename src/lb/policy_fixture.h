#pragma once

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "base/hash.h"
#include "lb/balance.h"

namespace terrace::lb {

// Backends with the given weights (of the site file), named by their position.
inline std::vector<Load> loads_of(const std::vector<uint32_t>& weights) {
  std::vector<Load> loads;
  for (const uint32_t weight : weights) {
    const uint64_t id = hash64("app" + std::to_string(loads.size()), 1);
    loads.push_back({.id = id, .weight = weight * kWeightUnit});
  }
  return loads;
}

// How often each was picked in `requests` requests that are answered at once.
inline std::vector<int> count_picks(Policy& policy, const std::vector<Load>& loads, BackendSet open,
                                    int requests) {
  std::vector<int> count(loads.size());
  for (int i = 0; i < requests; ++i) ++count[policy.pick(loads, open, {}, Time{}).value()];
  return count;
}

// From TERRACE_SEED, or a new one; for SCOPED_TRACE as well.
inline uint64_t test_seed() {
  const char* given = std::getenv("TERRACE_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
}

}  // namespace terrace::lb

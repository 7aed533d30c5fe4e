#pragma once

#include "lb/round_robin.h"

namespace terrace::lb {

// The backend with the fewest requests in flight for its weight; among equals, which is
// the ordinary case on a quiet site, smooth weighted round robin.
class LeastConnections final : public Policy {
 public:
  explicit LeastConnections(size_t first) : among_equals_(first) {}
  std::optional<size_t> pick(std::span<const Load> loads, BackendSet open, const Key& key, Time now) override;
  void forget(size_t backend) override { among_equals_.forget(backend); }

 private:
  RoundRobin among_equals_;
};

}  // namespace terrace::lb

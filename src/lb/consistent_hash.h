#pragma once

#include "lb/round_robin.h"

namespace terrace::lb {

// Requests with the same key go to the same backend. Rendezvous hashing (Thaler and
// Ravishankar 1998, "Using name-based mappings to increase hit rates"), with weights as
// Schindelhauer and Schomaker 2005 ("Weighted distributed hash tables") give them: each
// pair of key and backend has a random number, and the backend with the highest gets the
// request. There is no ring to rebuild: when a backend goes, exactly its keys move, each
// to the next of its own order; when one comes, exactly those move that are its own.
//
// With bounded loads (Mirrokni, Thorup and Zadimoghaddam 2016, "Consistent hashing with
// bounded loads") a backend that has kLoadFactor times its share of the requests in
// flight is passed over, and the next in the key's order gets the request.
class ConsistentHash final : public Policy {
 public:
  static constexpr double kLoadFactor = 1.25;
  // So many in flight are never too many: a bound below it would tear apart the two
  // or three requests that one browser sends at once.
  static constexpr uint32_t kLoadFloor = 8;

  enum class Loads : uint8_t { kBounded, kUnbounded };
  ConsistentHash(Loads bound, size_t first) : bound_(bound), without_key_(first) {}
  std::optional<size_t> pick(std::span<const Load> loads, BackendSet open, const Key& key, Time now) override;
  void forget(size_t backend) override { without_key_.forget(backend); }

 private:
  Loads bound_;
  RoundRobin without_key_;
};

}  // namespace terrace::lb

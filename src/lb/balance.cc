#include "lb/balance.h"

#include "lb/consistent_hash.h"
#include "lb/least_connections.h"
#include "lb/least_latency.h"
#include "lb/round_robin.h"

namespace terrace::lb {

std::unique_ptr<Policy> make_policy(Algorithm algorithm, size_t first, Random& random) {
  switch (algorithm) {
    case Algorithm::kRoundRobin:
      return std::make_unique<RoundRobin>(first);
    case Algorithm::kLeastConnections:
      return std::make_unique<LeastConnections>(first);
    case Algorithm::kLeastLatency:
      return std::make_unique<LeastLatency>(random);
    case Algorithm::kIpHash:
      return std::make_unique<ConsistentHash>(ConsistentHash::Loads::kUnbounded, first);
    case Algorithm::kConsistentHash:
      return std::make_unique<ConsistentHash>(ConsistentHash::Loads::kBounded, first);
  }
  return std::make_unique<RoundRobin>(first);
}

}  // namespace terrace::lb

#pragma once

// The load balancer: which backend gets a request, and what is known of each.
//
// Three parts, none of which opens a socket or reads a clock:
//
// - A *policy* (this header) chooses one of several backends for one request.
// - The *balancer* (balancer.h) is what a core has: the load of its backends, who may
//   be chosen at the moment, and what this core has seen of them (passive.h).
// - The *pool* (pool.h) decides for all cores who is up, ejected, drained or stands by.
//
// Around them: each core has the site's pools (pools.h), in each of which a request gets its
// place at once, in a line, or once more (dispatch.h); one place checks all backends and
// tells the cores what is decided (watches.h). A request goes its way in forwarder.h, over the
// connections of upstream.h: hop.h to our own servers. Connections of any protocol are passed
// on by tcp_proxy.h. What the site file says becomes their options in plan.h.
//
// A core shares nothing with the others per request, but for what is counted of each client
// (client_table.h): each balances its own requests over all backends. Shares that hold on every core hold for
// their sum; what depends on requests in flight (least connections, bounded loads) is balanced per core.
// Everything here belongs to one thread, allocates only when the set of backends
// changes, and gets time and randomness from its owner.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/clock.h"
#include "base/random.h"
#include "lb/backend_set.h"

namespace terrace::lb {

enum class Algorithm : uint8_t {
  kRoundRobin,
  kLeastConnections,
  kLeastLatency,
  kIpHash,          // the key of a request is its client's address
  kConsistentHash,  // the key of a request is a header or a cookie; loads are bounded
};

// A weight of 1 in the site file. Slow start passes through what lies below it.
constexpr uint32_t kWeightUnit = 256;
// In the site file.
constexpr uint32_t kWeightMax = 256;

// What a policy may know of one backend.
struct Load {
  uint64_t id = 0;                // a hash of its name: the same on every core and load balancer
  uint32_t weight = kWeightUnit;  // of kWeightUnit; zero gets no request
  uint32_t in_flight = 0;         // requests of this core
};

// What a request has that a policy may look at: a hash of the client's address, or of the
// header or cookie that the site names. Without one its turn comes as in round robin.
using Key = std::optional<uint64_t>;

class Policy {
 public:
  virtual ~Policy() = default;
  // One of `open`, which are positions in `loads`; none when all of them have weight zero,
  // or there are none. The owner counts the request in Load::in_flight if it sends it.
  virtual std::optional<size_t> pick(std::span<const Load> loads, BackendSet open, const Key& key,
                                     Time now) = 0;
  // A backend answered: the time from the request to the head of the response.
  virtual void answered(size_t /*backend*/, Duration /*latency*/, Time /*now*/) {}
  // Another backend takes this position.
  virtual void forget(size_t /*backend*/) {}
};

// `first`: who begins when all are equal. Cores start at different ones, so that the first
// requests of a new worker do not all meet at one backend. `random` outlives the policy.
std::unique_ptr<Policy> make_policy(Algorithm algorithm, size_t first, Random& random);

}  // namespace terrace::lb

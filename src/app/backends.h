#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "http/client.h"
#include "net/address.h"
#include "reactor/waiting_line.h"

namespace terrace::app {

// The instances of the app as one core sees them, and the requests of this core
// that wait for one. The instance with the fewest requests of this core in flight
// is next (least connections); ties go round.

enum class InstanceState : uint8_t {
  kStarting,  // no traffic yet, but worth waiting for
  kUp,
  kDraining,  // no new request
  kDown,
};

// What this core has seen of one instance. Written by it alone, read by any.
struct InstanceMetrics {
  Counter requests;
  Counter failures;  // no answer, or a broken one
  Counter errors;    // whole answers with 5xx
  Gauge in_flight;
  Histogram duration;
};

struct InstanceUpdate {
  uint32_t slot = 0;
  uint32_t generation = 0;
  InstanceState state = InstanceState::kStarting;
  net::Address address;
  std::string name;      // "app-1"
  uint32_t release = 0;  // that it was started from; 0: none
  // This core's counters; null: new ones. Shared with who shows them.
  std::shared_ptr<InstanceMetrics> metrics;
};

struct Instance {
  uint32_t slot = 0;
  uint32_t generation = 0;
  InstanceState state = InstanceState::kStarting;
  net::Address address;
  std::string name;
  uint32_t release = 0;
  http::ClientPool pool;
  int in_flight = 0;
  uint32_t failures_unsaid = 0;  // since the controller was last told
  Time suspect_until;            // failed: tried again before only when nobody else is there
  bool refused = false;          // … and not even then
  std::shared_ptr<InstanceMetrics> metrics;
};

// Told of what the rest of the server should know. Called on the core.
class InstanceEvents {
 public:
  virtual ~InstanceEvents() = default;
  // A draining instance has no request of this core in flight any more.
  virtual void drained(uint32_t slot, uint32_t generation) = 0;
  virtual void failed(uint32_t slot, uint32_t generation, uint32_t failures) = 0;
};

// What this core's proxy has counted. Written by the core, read by any thread.
struct ProxyMetrics {
  Counter queue_timeouts;   // waited for the limit
  Counter queue_overflows;  // turned away at once: the queue was full
  Counter retries;          // after a failed connect, or after an instance died without an answer
  Gauge tunnels;            // open upgraded connections
};

class Backends {
 public:
  struct Limits {
    int connections_max = 256;  // requests in flight per instance, on this core
    int queue_max = 1024;       // requests that wait, on this core
  };
  // An instance that broke a connection rests this long.
  static constexpr Duration kSuspectFor = std::chrono::milliseconds(500);

  Backends(Reactor& reactor, InstanceEvents& events, const Limits& limits)
      : reactor_(reactor),
        events_(events),
        limits_(limits),
        line_(reactor, limits.queue_max, {metrics_.queue_timeouts, metrics_.queue_overflows}) {}

  void set_limits(const Limits& limits) {
    limits_ = limits;
    line_.set_length_max(limits.queue_max);
  }
  void update(const InstanceUpdate& update);
  // Forgets every instance that the updates since mark() did not name; none without a mark().
  void mark();
  void forget_unnamed();
  // Call about ten times a second: closes idle connections, wakes waiters, tells of failures.
  void tick();

  // Takes the next instance for one request, in flight from now on until release().
  // Null when none can be had at the moment.
  Instance* take();
  void release(Instance& instance);
  // The instance refused a connection, or broke one. It rests; one that only broke a
  // connection is still better than none.
  void failed(Instance& instance, bool refused);

  // co_await backends.turn(deadline): waits until take() may succeed. False at the
  // deadline; at once when the queue is full.
  WaitingLine::Turn turn(Time deadline) { return line_.turn(deadline); }
  int waiting() const { return line_.length(); }
  ProxyMetrics& metrics() { return metrics_; }
  bool full() const { return line_.full(); }
  // No instance takes requests, not even one that is only busy.
  bool none_serves() const;
  const std::vector<std::unique_ptr<Instance>>& instances() const { return instances_; }

 private:
  Instance* find(uint32_t slot, uint32_t generation);
  // The one that take() would give.
  Instance* best() const;
  void erase(Instance& instance);

  Reactor& reactor_;
  InstanceEvents& events_;
  Limits limits_;
  std::vector<std::unique_ptr<Instance>> instances_;
  std::vector<std::pair<uint32_t, uint32_t>> named_;  // since mark()
  bool naming_ = false;
  size_t next_ = 0;
  ProxyMetrics metrics_;
  WaitingLine line_;
};

}  // namespace terrace::app

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "http/client.h"
#include "net/address.h"

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
      : reactor_(reactor), events_(events), limits_(limits) {}
  ~Backends();

  void set_limits(const Limits& limits) { limits_ = limits; }
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
  class Turn;
  Turn turn(Time deadline);
  int waiting() const { return waiting_; }
  ProxyMetrics& metrics() { return metrics_; }
  bool full() const { return waiting_ >= limits_.queue_max; }
  const std::vector<std::unique_ptr<Instance>>& instances() const { return instances_; }

 private:
  Instance* find(uint32_t slot, uint32_t generation);
  // The one that take() would give.
  Instance* best() const;
  void erase(Instance& instance);
  void wake(int count);

  Reactor& reactor_;
  InstanceEvents& events_;
  Limits limits_;
  std::vector<std::unique_ptr<Instance>> instances_;
  std::vector<std::pair<uint32_t, uint32_t>> named_;  // since mark()
  bool naming_ = false;
  size_t next_ = 0;
  Turn* first_ = nullptr;  // the queue, oldest first
  Turn* last_ = nullptr;
  int waiting_ = 0;
  ProxyMetrics metrics_;
};

class [[nodiscard]] Backends::Turn final : Timer {
 public:
  Turn(Backends& backends, Time deadline) : backends_(backends), deadline_(deadline) {}
  bool await_ready() noexcept;
  void await_suspend(std::coroutine_handle<> waiting);
  // True when it is this request's turn.
  bool await_resume();

 private:
  friend class Backends;
  void expired() override;
  void leave();
  Backends& backends_;
  Time deadline_;
  std::coroutine_handle<> waiting_;
  Turn* next_ = nullptr;
  Turn* previous_ = nullptr;
  bool woken_ = false;
};

inline Backends::Turn Backends::turn(Time deadline) { return {*this, deadline}; }

}  // namespace terrace::app

#pragma once

#include <optional>
#include <span>

#include "base/metrics.h"
#include "lb/balancer.h"
#include "lb/retry.h"
#include "reactor/reactor.h"
#include "reactor/task.h"
#include "reactor/waiting_line.h"

namespace terrace::lb {

struct DispatchOptions {
  BalancerOptions balancer;
  RetryBudget::Options retries;
  int queue_max = 1024;  // requests that wait, on this core
};

// Written by the core, read by any thread.
struct DispatchMetrics {
  Counter queue_timeouts;
  Counter queue_overflows;  // turned away at once
  Counter retries;
  Counter retries_refused;  // safe, but over the budget
};

// A request's way to a backend of one pool, on one core: the balancer, the line of those
// that wait for it, and the budget of retries.
//
//   dispatch.begin();
//   auto place = dispatch.take(key, tried);
//   if (!place) place = co_await dispatch.wait(key, tried, deadline);
//   … a try …
//   dispatch.finish(*place, outcome);
//   if (it failed) tried.add(place->position), and once more if dispatch.may_try_again(failed)
class Dispatch {
 public:
  Dispatch(Reactor& reactor, const DispatchOptions& options);

  void set_options(const DispatchOptions& options);
  void update(std::span<const Standing> standings);
  // Call about ten times a second.
  void tick();

  // A request comes, whatever becomes of it.
  void begin() { budget_.request(reactor_.now()); }
  // A place, if there is one and nobody has waited longer for it.
  std::optional<Balancer::Place> take(const Key& key, BackendSet tried);
  // The same for the backend that a cookie names, before anybody who waits for any.
  std::optional<Balancer::Place> take_this(std::string_view backend, BackendSet tried) {
    return balancer_.take_this(backend, tried, reactor_.now());
  }
  // Waits for one in the line. kTimeout at the deadline; kLimit at once when the line is full.
  Task<Result<Balancer::Place>> wait(Key key, BackendSet tried, Time deadline);
  void finish(const Balancer::Place& place, const Balancer::Outcome& outcome);
  // Whether to try once more; takes from the budget if the try that failed cost a backend work.
  bool may_try_again(const FailedTry& failed);

  Balancer& balancer() { return balancer_; }
  int waiting() const { return line_.length(); }
  const DispatchMetrics& metrics() const { return metrics_; }

 private:
  void wake(int count);

  Reactor& reactor_;
  Balancer balancer_;
  RetryBudget budget_;
  DispatchMetrics metrics_;
  int queue_max_;
  WaitingLine line_;
  int woken_ = 0;  // left the line, and will look for a place in this turn or the next
};

}  // namespace terrace::lb

#include "lb/dispatch.h"

#include <limits>

namespace terrace::lb {

Dispatch::Dispatch(Reactor& reactor, const DispatchOptions& options)
    : reactor_(reactor),
      balancer_(options.balancer, reactor.random()),
      budget_(options.retries, reactor.now()),
      queue_max_(options.queue_max),
      line_(reactor, options.queue_max, {metrics_.queue_timeouts, metrics_.queue_overflows}) {}

void Dispatch::set_options(const DispatchOptions& options) {
  balancer_.set_options(options.balancer);
  budget_.set_options(options.retries);
  queue_max_ = options.queue_max;
  line_.set_length_max(options.queue_max);
  wake(std::numeric_limits<int>::max());
}

void Dispatch::update(std::span<const Standing> standings) {
  balancer_.update(standings, reactor_.now());
  wake(std::numeric_limits<int>::max());
}

void Dispatch::tick() {
  balancer_.tick(reactor_.now());
  wake(std::numeric_limits<int>::max());
}

std::optional<Balancer::Place> Dispatch::take(const Key& key, BackendSet tried) {
  if (!line_.empty() || woken_ > 0) return std::nullopt;
  return balancer_.take(key, tried, reactor_.now());
}

Task<Result<Balancer::Place>> Dispatch::wait(Key key, BackendSet tried, Time deadline) {
  // Whoever was woken and finds nothing must still have his place in the line.
  if (line_.length() + woken_ >= queue_max_) {
    metrics_.queue_overflows.add();
    co_return fail(Code::kLimit, "queue", "the queue is full");
  }
  for (;;) {
    const bool mine = co_await line_.turn(deadline);
    if (!mine) co_return fail(Code::kTimeout, "queue", "no backend was free in time");
    --woken_;
    const std::optional<Balancer::Place> place = balancer_.take(key, tried, reactor_.now());
    if (place) co_return *place;
  }
}

void Dispatch::finish(const Balancer::Place& place, const Balancer::Outcome& outcome) {
  balancer_.finish(place, outcome, reactor_.now());
  wake(1);
}

bool Dispatch::may_try_again(const FailedTry& failed) {
  if (!may_retry(failed)) return false;
  if (failed.perhaps_processed && !budget_.retry(reactor_.now())) {
    metrics_.retries_refused.add();
    return false;
  }
  metrics_.retries.add();
  return true;
}

// Those for whom there is nothing stay where they are, in their order.
void Dispatch::wake(int count) {
  if (line_.empty() || !balancer_.has_room()) return;
  const int before = line_.length();
  line_.wake(count);
  woken_ += before - line_.length();
}

}  // namespace terrace::lb

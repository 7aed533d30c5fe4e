#pragma once

#include <memory>
#include <string>
#include <vector>

#include "health/check.h"
#include "health/check_schedule.h"
#include "lb/pool.h"
#include "reactor/mailbox.h"
#include "reactor/reactor.h"
#include "reactor/scope.h"

namespace terrace::lb {

// What somebody who watches a pool needs of the rest of the server.
class WatchOwner {
 public:
  virtual ~WatchOwner() = default;
  // Carries out one check of this backend; it ends within `limit`.
  virtual Task<health::CheckResult> check(std::string backend, Duration limit) = 0;
  // These standings changed: for the cores, and for people.
  virtual void changed(const Pool& pool, BackendSet which) = 0;
};

// Checks the backends of one pool, each by its own schedule, and keeps the pool's
// decisions up to date. On one reactor; one thread.
class Watch {
 public:
  Watch(Reactor& reactor, WatchOwner& owner) : reactor_(reactor), owner_(owner), wake_(reactor) {}
  // After close().
  ~Watch() = default;

  // New backends are checked at once, those that left no more.
  void configure(PoolPlan plan, const health::CheckPlan& checks);
  // What cores saw, and what people say. Names that the pool does not know (any more) are
  // ignored.
  void suspect(std::string_view backend);
  void eject(std::string_view backend, std::string_view reason);
  void drain(std::string_view backend, bool drained, std::string_view reason);

  const Pool& pool() const { return pool_; }
  // Ends all checks; those under way are waited for.
  Task<void> close();

 private:
  struct Target {
    Target(std::string backend, const health::CheckPlan& plan, Reactor& reactor)
        : name(std::move(backend)), schedule(plan, reactor.random(), reactor.now()), wake(reactor) {}
    std::string name;
    health::CheckSchedule schedule;
    Event wake;
    bool gone = false;
  };

  Task<void> keep_checking(std::shared_ptr<Target> target);
  Task<void> keep_ticking();
  void note(const Target& target, const health::CheckResult& result);
  void publish();

  Reactor& reactor_;
  WatchOwner& owner_;
  Pool pool_;
  health::CheckPlan checks_;
  std::vector<std::shared_ptr<Target>> targets_;
  Event wake_;  // the pool's next() may have changed
  bool ticking_ = false;
  bool closing_ = false;
  Scope scope_;
};

}  // namespace terrace::lb

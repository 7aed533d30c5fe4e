#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "lb/dispatch.h"
#include "lb/limits.h"
#include "lb/plan.h"
#include "lb/routes.h"
#include "lb/sticky.h"
#include "lb/tcp_proxy.h"
#include "reactor/scope.h"
#include "topology/pools.h"

namespace terrace::lb {

// One pool on one core.
struct CorePool {
  CorePool(Reactor& reactor, const DispatchOptions& options) : dispatch(reactor, options) {}

  topology::Pool plan;
  Dispatch dispatch;
  KeySource key_source;
  std::shared_ptr<const StickyCookies> sticky;  // null: off; whoever uses it keeps it
  std::unique_ptr<TcpProxy> tcp;                // null: it takes requests
  int users = 0;
};

// What a core saw of a backend. Called on the core.
class PoolEvents {
 public:
  virtual ~PoolEvents() = default;
  // A request failed there: worth a check now.
  virtual void suspect(const std::string& pool, const std::string& backend) = 0;
  // It should be ejected.
  virtual void verdict(const std::string& pool, const std::string& backend, Verdict verdict) = 0;
};

// All pools of the site on one core: which of them takes a request, and what it needs for
// that. A change of the site keeps what is known of pools and backends that stay, by
// their names; a pool that goes is kept until its last request is done.
class Pools {
 public:
  Pools(Reactor& reactor, PoolEvents& events, const Core& core, const Log& log);
  // After close().
  ~Pools() = default;

  // Where all cores count their clients; once. Without it none are limited.
  void use_clients(ClientTable& table) { clients_.emplace(table); }
  // `secret`: for sticky sessions, 32 bytes or more; without one they stay off.
  void configure(const topology::Site& site, std::string_view secret);
  // What is decided of the backends of a pool, which may come before the pool itself.
  void update(std::string_view pool, const std::vector<Standing>& standings);
  // Call about ten times a second.
  void tick();
  // After a request: who should be ejected is said at once.
  void say_verdicts(CorePool& pool);
  // Ends what is left at the limit; the listeners are closed before.
  Task<void> close(Duration limit);
  // What is being ended ends sooner.
  void hasten(Duration limit);

  // As long as it lives, so does the pool.
  class Use {
   public:
    explicit Use(CorePool* pool) : pool_(pool) { ++pool_->users; }
    Use(Use&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)) {}
    Use& operator=(Use&&) = delete;
    ~Use() {
      if (pool_ != nullptr) --pool_->users;
    }
    CorePool& operator*() const { return *pool_; }
    CorePool* operator->() const { return pool_; }

   private:
    CorePool* pool_;
  };
  // The pool of a request (see Routes::find()); after configure().
  Use use(std::string_view host, std::string_view path) const;
  // The same for the path as the client wrote it.
  Use use_for(std::string_view host, std::string_view raw_path) const;
  // Who takes the connections of this address of `tcp`; null: nobody (any more).
  net::Acceptor* acceptor(std::string_view listen) const;
  // Requests in the lines of all pools.
  int waiting() const;
  // Null: there is no table. Stays where it is from then on.
  ClientLimits* clients() { return clients_ ? &*clients_ : nullptr; }

 private:
  CorePool* find(std::string_view name) const;
  std::unique_ptr<CorePool> take(std::string_view name);
  void configure_pool(CorePool& pool, const topology::LbTable& lb, const topology::Pool& plan,
                      std::string_view secret);
  void configure_tcp(CorePool& pool, const topology::LbTable& lb);
  Task<void> retire(std::unique_ptr<CorePool> pool, Duration limit);

  Reactor& reactor_;
  PoolEvents& events_;
  Core core_;
  const Log& log_;
  std::vector<std::unique_ptr<CorePool>> pools_;  // in the order of the routes
  std::unique_ptr<Routes> routes_;
  std::optional<ClientLimits> clients_;
  std::map<std::string, std::vector<Standing>, std::less<>> decided_;  // the last of each pool
  Time ends_ = Time::max();                                            // of whatever is being ended
  Scope scope_;
};

}  // namespace terrace::lb

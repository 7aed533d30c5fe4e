#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/client.h"
#include "lb/hop.h"
#include "reactor/scope.h"
#include "topology/pools.h"

namespace terrace::lb {

// One backend as a core reaches it, whichever pools it is in.
struct Upstream {
  explicit Upstream(std::string called) : name(std::move(called)) {}

  std::string name;
  net::Address address;
  bool here = false;         // this very server: no connection is needed
  bool proxy = false;        // its connections begin with PROXY v2, so each is one client's
  std::unique_ptr<Hop> hop;  // to one of our own web servers; null: HTTP/1.1
  http::ClientPool idle;     // connections of HTTP/1.1
  uint32_t epoch = 0;        // raised when connections of before are of no use any more
  std::vector<http::ClientConnection*> in_use;
  int users = 0;
};

// How the cores speak with our own servers.
struct Reach {
  std::string server;                            // this one's name in [servers]; empty: it has none
  std::shared_ptr<const net::TlsContext> tls{};  // null: nobody is reached by a hop
  Duration connect_timeout = std::chrono::seconds(2);
  // A server that says nothing for so long is down: its connections are given up before.
  Duration silence_max = std::chrono::seconds(6);
};

// All backends of the site on one core, by their names. Whoever uses one keeps it; one that
// leaves the site is given up after its last request.
class Upstreams {
 public:
  // As long as it lives, so does the backend. Counted on the core, without an atomic.
  class Use {
   public:
    Use() = default;
    explicit Use(Upstream* upstream) : upstream_(upstream) {
      if (upstream_ != nullptr) ++upstream_->users;
    }
    Use(Use&& other) noexcept : upstream_(std::exchange(other.upstream_, nullptr)) {}
    Use& operator=(Use&& other) noexcept {
      std::swap(upstream_, other.upstream_);
      return *this;
    }
    ~Use() {
      if (upstream_ != nullptr) --upstream_->users;
    }
    explicit operator bool() const { return upstream_ != nullptr; }
    Upstream& operator*() const { return *upstream_; }
    Upstream* operator->() const { return upstream_; }

   private:
    Upstream* upstream_ = nullptr;
  };

  explicit Upstreams(Reactor& reactor) : reactor_(reactor) {}

  // Those of all these pools; what stays keeps its connections. `drain_limit`: for the
  // requests of those that leave.
  void configure(const std::vector<topology::Pool>& pools, const Reach& reach, Duration drain_limit);
  // Another certificate of ours, or others are trusted.
  void set_reach(const Reach& reach);
  // A connection to each of our own servers that has none, as far as that works in time.
  Task<void> open_hops(Time deadline);
  // Empty: there is none (any more).
  Use find(std::string_view name) const;
  // Its checks get no sign of life: requests that have none either wait no longer. Those over
  // a hop have noticed by themselves (PING).
  void fell_silent(std::string_view name);
  // Closes what has been idle for too long. Call about once a second.
  void sweep();
  Task<void> close(Duration limit);

 private:
  void set_up(Upstream& upstream, const topology::PoolMember& member);
  Hop::Options hop_options(const net::Address& address) const;
  static Task<void> open_hop(Use upstream, Time deadline);
  Task<void> retire(std::unique_ptr<Upstream> upstream, Duration limit);

  Reactor& reactor_;
  Reach reach_;
  std::map<std::string, std::unique_ptr<Upstream>, std::less<>> all_;
  Scope scope_;
};

}  // namespace terrace::lb

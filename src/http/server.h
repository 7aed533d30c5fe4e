#pragma once

#include <memory>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "http/date.h"
#include "http/exchange.h"
#include "http/parser.h"
#include "net/listener.h"
#include "reactor/scope.h"

namespace terrace::http {

// The server side of HTTP/1.1 (RFC 9112) on one core: connections in, exchanges
// to a Handler. Every size, count and time has a limit below.
//
// Memory: an idle connection holds its Connection and one coroutine frame, less
// than 1 KiB; buffers and the exchange are taken from pools when bytes arrive and
// go back when the answer is out. In steady state nothing is allocated.

struct ServerLimits {
  HeadLimits head;
  Duration head_timeout = std::chrono::seconds(10);  // for a whole head, from its first byte
  Duration idle_timeout = std::chrono::seconds(75);  // between requests
  Duration progress_max = std::chrono::seconds(30);  // the longest silence within a body, either way
  Duration tunnel_idle_max = std::chrono::hours(1);  // the longest silence in a tunnel
  int64_t rate_min = 200;                            // bytes per second of a body, on average …
  Duration rate_grace = std::chrono::seconds(10);    // … once it was waited for this long
  uint64_t body_bytes_max = 100 << 20;               // of a request; more: 413
  int connections_max = 10'000;                      // on this core; more: 503 and closed
};

// Whether a body, of which so many bytes moved while the other side was waited for so
// long, is slower than the limits allow.
bool is_too_slow(const ServerLimits& limits, uint64_t bytes, Duration waited);

class Connection;
class Http1Exchange;

class Server final : public net::Acceptor {
 public:
  // What listeners and connections count.
  struct Metrics {
    Counter connections;
    Gauge connections_open;
    Counter connections_refused;
  };

  Server(Reactor& reactor, Handler& handler, const ServerLimits& limits, const Log& log);
  ~Server() override;

  void accepted(Descriptor socket, const net::Peer& peer) override;

  // For exchanges from now on.
  void set_limits(const ServerLimits& limits) { limits_ = limits; }
  // Every connection ends with its present answer, which says so, and what is not
  // done at the limit (tunnels, slow clients) is broken off. An idle connection may
  // ask once more within `idle`: a client whose next request is on its way would see
  // it fail. Once.
  Task<void> drain(Duration idle, Duration limit);
  // A drain under way ends sooner: idle connections now, the others at the limit.
  void hasten(Duration limit);
  bool draining() const { return draining_ != Draining::kNo; }
  // From now on each answer is the last of its connection, new connections included: who
  // asks again shall find another server. Idle connections stay until close_idle().
  void set_closing(bool closing) { closing_ = closing; }
  void close_idle() { cancel_all(true); }
  // Whether an answer is the last of its connection.
  bool closes() const { return closing_ || draining(); }
  // Whether a connection that has had its answer may ask again.
  bool takes_requests() const { return draining_ != Draining::kNow; }
  int connections() const { return connections_; }
  const Metrics& metrics() const { return metrics_; }

  // For Connection and Http1Exchange.
  Reactor& reactor() { return reactor_; }
  Handler& handler() { return handler_; }
  const ServerLimits& limits() const { return limits_; }
  std::string_view date();
  Http1Exchange* take_exchange(Connection& connection);
  void give_back(Http1Exchange* exchange);
  // How often an exchange had to be made because the pool was empty.
  uint64_t exchanges_made() const { return exchanges_made_; }

 private:
  friend class Connection;
  enum class Draining : uint8_t { kNo, kIdleMayAsk, kNow };
  struct IdleLimit final : Timer {
    explicit IdleLimit(Server& owner) : server(owner) {}
    void expired() override { server.end_idle(); }
    Server& server;
  };
  struct DrainLimit final : Timer {
    explicit DrainLimit(Server& owner) : server(owner) {}
    void expired() override { server.cancel_all(false); }
    Server& server;
  };
  Task<void> serve(std::unique_ptr<Connection> connection);
  void cancel_all(bool idle_only);
  void end_idle();

  Reactor& reactor_;
  Handler& handler_;
  ServerLimits limits_;
  const Log& log_;
  DateCache date_;
  Metrics metrics_;
  Connection* first_ = nullptr;  // all connections, doubly linked
  int connections_ = 0;
  Draining draining_ = Draining::kNo;
  bool closing_ = false;
  IdleLimit idle_limit_{*this};
  DrainLimit drain_limit_{*this};
  std::vector<std::unique_ptr<Http1Exchange>> exchanges_;  // free ones
  uint64_t exchanges_made_ = 0;
  Scope scope_;
};

}  // namespace terrace::http

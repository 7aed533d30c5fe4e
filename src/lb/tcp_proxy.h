#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/log.h"
#include "lb/dispatch.h"
#include "lb/request_key.h"
#include "net/listener.h"
#include "net/proxy_header.h"
#include "net/stream.h"
#include "reactor/scope.h"

namespace terrace::lb {

// Connections of any protocol, passed on to a pool of backends as they are, on one core.
// A connection counts as one request until it ends. When it cannot be made it is tried
// with another backend, since nothing was sent; once bytes may have gone it ends with the
// backend's. Bytes stream both ways with back-pressure: nothing is read that the other side
// did not take. The end of one direction is passed on, an error ends both.

struct TcpTarget {
  net::Address address;
  bool proxy = false;  // its connections begin with a PROXY header
};

struct TcpProxyOptions {
  Duration connect_timeout = std::chrono::seconds(2);
  Duration queue_timeout = std::chrono::seconds(10);
  Duration header_timeout = std::chrono::seconds(5);  // of a PROXY header in front
  Duration progress_max = std::chrono::seconds(30);   // the longest time in which a side takes nothing
  Duration idle_max = std::chrono::hours(1);          // … in which neither side says anything
  int connections_max = 10'000;                       // on this core; more are closed
  std::vector<net::Network> proxy_from;               // peers that send a PROXY header, and must
};

// Written by the core, read by any thread.
struct TcpProxyMetrics {
  Counter connections;
  Gauge connections_open;
  Counter refused;   // over connections_max, or without the header that must be there
  Counter unserved;  // no backend in time
  Counter bytes_up;
  Counter bytes_down;
};

class TcpProxy final : public net::Acceptor {
 public:
  // `dispatch` outlives it, and so do its options' changes: whoever owns both ticks it.
  TcpProxy(Reactor& reactor, Dispatch& dispatch, const TcpProxyOptions& options, const Log& log);

  // For connections from now on. Where each backend of the pool is, by its name.
  void set_options(const TcpProxyOptions& options) { options_ = options; }
  void set_targets(std::map<std::string, TcpTarget, std::less<>> targets) { targets_ = std::move(targets); }

  void accepted(Descriptor socket, const net::Peer& peer) override;
  // Connections may end by themselves for so long; what is left then is cut off. The
  // listener is closed before.
  Task<void> drain(Duration limit);
  int connections() const { return connections_; }
  const TcpProxyMetrics& metrics() const { return metrics_; }

 private:
  struct Connection;
  Task<void> serve(std::unique_ptr<Connection> connection);
  Task<Result<void>> learn_client(Connection& connection);
  Task<Result<void>> reach_backend(Connection& connection);
  Task<Result<void>> connect(Connection& connection, const TcpTarget& target);
  Task<void> relay(Connection& connection);
  Task<void> pump(Connection& connection, net::Stream& from, net::Stream& to, Counter& bytes);
  Task<Result<void>> write_later(std::string_view rest, net::Stream& to);
  bool from_proxy(const net::Peer& peer) const;

  Reactor& reactor_;
  Dispatch& dispatch_;
  TcpProxyOptions options_;
  const Log& log_;
  std::map<std::string, TcpTarget, std::less<>> targets_;
  TcpProxyMetrics metrics_;
  Connection* first_ = nullptr;  // all of them, doubly linked
  int connections_ = 0;
  Scope scope_;
};

}  // namespace terrace::lb

#pragma once

#include <vector>

#include "base/log.h"
#include "net/listener.h"
#include "net/proxy_header.h"
#include "reactor/scope.h"

namespace terrace::lb {

// In front of what takes connections: those from `[lb] proxy_from` begin with a PROXY header
// (net/proxy_header.h), which is taken off, and the connection goes on as that of the client
// whom it names. One without is closed, one that says nothing for too long as well; the log
// says so, now and then.
class ProxyFront final : public net::Acceptor {
 public:
  // From the connection to the end of the header.
  static constexpr Duration kHeaderTimeout = std::chrono::seconds(5);
  // That have not sent their header yet.
  static constexpr int kWaitingMax = 1024;

  // Between two lines of the log.
  static constexpr Duration kQuiet = std::chrono::seconds(10);

  ProxyFront(Reactor& reactor, net::Acceptor& behind, const Log& log)
      : reactor_(reactor), behind_(behind), log_(log) {}

  // None: every connection is passed on at once.
  void set_networks(std::vector<net::Network> networks) { networks_ = std::move(networks); }
  void accepted(Descriptor socket, const net::Peer& peer) override;
  // Those that wait for their header are closed.
  Task<void> close();

 private:
  struct Waiting;
  Task<void> receive(std::unique_ptr<Waiting> waiting);
  void say(const net::Peer& peer, const Error& why);

  Reactor& reactor_;
  net::Acceptor& behind_;
  const Log& log_;
  Time quiet_until_;
  std::vector<net::Network> networks_;
  std::vector<Waiting*> waiting_;
  bool closing_ = false;
  Scope scope_;
};

}  // namespace terrace::lb

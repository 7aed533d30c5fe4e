#pragma once

#include "base/descriptor.h"
#include "base/log.h"
#include "net/address.h"
#include "reactor/reactor.h"
#include "reactor/scope.h"

namespace terrace::net {

// What happens to each new connection. Called on the listener's reactor.
class Acceptor {
 public:
  virtual ~Acceptor() = default;
  virtual void accepted(Descriptor socket, const Peer& peer) = 0;
};

// Binds and listens. TCP_NODELAY is set here because accepted sockets inherit it.
Result<Descriptor> listen_on(const Address& address);

// From now on a listening socket takes no new connection, while those that are being
// made still come to its queue: it can then be emptied and closed, and nobody who was
// connected is cut off. Who tries meanwhile is answered once it is closed, when the
// SYN is sent again. Where the kernel refuses, nothing changes. For every owner of it.
void stop_new_connections(int socket);

// One core's part of a listening socket that all cores (and the supervisor, which
// owns it) share: the kernel wakes one of them per connection.
class Listener {
 public:
  // `socket` is borrowed or owned by the caller's duplicate; both may be closed in any order.
  Listener(Reactor& reactor, Descriptor socket, Acceptor& acceptor, const Log& log);
  ~Listener();

  Result<void> start();
  // No more connections are taken here; the queue stays with the socket's other owners.
  Task<void> close();

 private:
  class Acceptable;
  Task<void> run();
  bool accept_some();
  Reactor& reactor_;
  Descriptor socket_;
  Acceptor& acceptor_;
  const Log& log_;
  Watch watch_;
  Scope scope_;
  bool closing_ = false;
  bool out_of_descriptors_ = false;
};

}  // namespace terrace::net

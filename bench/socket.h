#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include "base/descriptor.h"
#include "base/result.h"

namespace terrace::bench {

// Where a bench tool listens or connects: "127.0.0.1:8080" or "unix:/path".
class Endpoint {
 public:
  static Result<Endpoint> parse(const std::string& text);

  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }
  socklen_t size() const { return size_; }
  int family() const { return address_.ss_family; }

 private:
  static Result<Endpoint> parse_unix(const std::string& path);
  static Result<Endpoint> parse_inet(const std::string& text);

  sockaddr_storage address_{};
  socklen_t size_ = 0;
};

// A listening socket that does not block. A Unix socket that lies in the way is
// removed first: the tools never share one.
Result<Descriptor> listen_on(const Endpoint& endpoint);

// A connection that does not block once it stands. Connecting itself waits: on
// loopback the kernel completes it at once unless the peer's backlog is full.
// `source`: with TCP, the last part of the 127.0.0.x that it comes from, 0 for
// the kernel's choice; one address has only about 28,000 ports.
Result<Descriptor> connect_to(const Endpoint& endpoint, int source = 0);

// The next waiting connection, not blocking, with TCP_NODELAY; empty when none waits.
Descriptor accept_from(int listener);

}  // namespace terrace::bench

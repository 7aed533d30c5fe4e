#pragma once

#include <memory>
#include <string>
#include <vector>

#include "http/http2_client.h"
#include "net/tls.h"
#include "reactor/mailbox.h"
#include "reactor/scope.h"

namespace terrace::lb {

// One core's way to one of our own web servers: HTTP/2 (RFC 9113) inside mutual TLS, over a few
// connections that stay. The first one carries everything until its streams are all in use;
// only then another one is made, so that one write carries the frames of many requests. A
// connection that is silent for too long (PING), broken or said goodbye to (GOAWAY) is not
// used again; what it still carries ends by itself or fails.
class Hop {
 public:
  static constexpr size_t kConnectionsMax = 4;
  struct Options {
    net::Address address;
    std::shared_ptr<const net::TlsContext> tls;  // null: nobody can be reached yet
    Duration connect_timeout = std::chrono::seconds(2);
    http::Http2Limits limits = http::Http2Limits::between_our_servers();
  };

  // `server` is the name that its certificate has to have.
  Hop(Reactor& reactor, std::string server);
  // After close().
  ~Hop() = default;

  // For connections from now on. Those to another address, or with other credentials, finish
  // what they carry; one whose peer would be refused now ends.
  void set_options(const Options& options);
  // A connection that takes one more request at this moment, or null.
  http::Http2ClientConnection* ready(bool tunnel) const;
  // Waits for one, and makes it if there is none; it is to be used before anything else is
  // waited for. kTimeout at the deadline, kUnavailable without a certificate of ours, and
  // what connecting and the handshake say.
  Task<Result<http::Http2ClientConnection*>> reach(bool tunnel, Time deadline);
  int requests() const;
  size_t connections() const { return connections_.size(); }
  // Each connection ends with its last request.
  void drain();
  // The same, and what is left at the limit is given up. Once.
  Task<void> close(Duration limit);

 private:
  struct Connection;
  Task<void> speak(std::unique_ptr<Connection> connection);
  bool may_connect() const;

  Reactor& reactor_;
  std::string server_;
  Options options_;
  std::vector<Connection*> connections_;  // that have come about, the oldest first
  std::vector<Connection*> begun_;        // that are being made
  Event changed_;
  uint64_t failures_ = 0;
  Error failure_{};  // the last one
  bool closing_ = false;
  Scope scope_;
};

}  // namespace terrace::lb

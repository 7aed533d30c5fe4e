#pragma once

#include <sys/socket.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "certificates/authority.h"
#include "certificates/verifier.h"
#include "net/stream.h"
#include "net/tls.h"
#include "reactor/scope.h"

namespace terrace::certificates {

// What a server keeps: its certificate with what it sends behind it, and its key.
struct Holder {
  std::string certificates_pem;
  std::string key_pem;
};

inline Holder holder_of(const Authority& authority, const Subject& subject, WallTime now,
                        Duration life = kLifeDefault) {
  const PrivateKey key = PrivateKey::make().value();
  const Request request = Request::parse(key.request_pem().value()).value();
  return {.certificates_pem = authority.sign(request, subject, now, life).value(),
          .key_pem = key.pem().value()};
}

inline std::shared_ptr<const net::TlsContext> context_of(net::TlsContext::Side side, const Holder& holder,
                                                         std::shared_ptr<const net::PeerVerifier> verifier,
                                                         bool optional = false) {
  return net::TlsContext::make({.side = side,
                                .certificates_pem = holder.certificates_pem,
                                .key_pem = holder.key_pem,
                                .peer_certificate_optional = optional,
                                .verifier = std::move(verifier),
                                .protocol = "terrace/1"})
      .value();
}

// One end of a connection, and what came of its handshake.
struct End {
  net::Stream stream;
  Result<void> shaken;
  std::string shown;  // by a peer that was refused
  bool done = false;
};

inline Task<void> shake(End& end, std::shared_ptr<const net::TlsContext> context, std::string expected,
                        Duration limit) {
  const Time deadline = end.stream.reactor().now() + limit;
  end.shaken = co_await end.stream.start_tls(std::move(context), expected, deadline);
  end.shown = end.stream.refused_certificate();
  if (!end.shaken) end.stream.close();
  end.done = true;
}

inline Task<void> wait_readable(net::Stream& stream, bool& done) {
  (void)co_await stream.readable(stream.reactor().now() + std::chrono::seconds(2));
  done = true;
}

// Two servers of a site that meet, in one reactor. The wall clock for certificates
// is the test's; deadlines run on the real one.
struct Meeting {
  static constexpr Duration kLimit = std::chrono::seconds(5);

  // With small buffers of the socket, so that writes are taken in parts.
  void connect(int buffer_bytes = 0) {
    int ends[2];
    ASSERT(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    for (const int end : ends) {
      if (buffer_bytes > 0) ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
    }
    ASSERT(server.stream.open(*reactor, Descriptor(ends[0])).has_value());
    ASSERT(client.stream.open(*reactor, Descriptor(ends[1])).has_value());
  }

  // Both ends; true when both are done in time, whatever came of it.
  bool meet(std::shared_ptr<const net::TlsContext> of_server,
            std::shared_ptr<const net::TlsContext> of_client, std::string expected = "") {
    const Time end = reactor->now() + kLimit;
    scope.spawn(shake(server, std::move(of_server), "", kLimit));
    scope.spawn(shake(client, std::move(of_client), std::move(expected), kLimit));
    while (!(server.done && client.done)) {
      if (reactor->now() >= end) return false;
      (void)reactor->run_until(server.done ? client.done : server.done, std::chrono::milliseconds(5));
      // A client that is refused learns of it when it reads; then it goes.
      char byte[1];
      if (!client.done || !client.shaken || server.done) continue;
      const Result<size_t> n = client.stream.read_now(byte);
      if (n || n.error().code == Code::kWouldBlock) continue;
      client.shaken = std::unexpected(n.error());
      client.stream.close();
    }
    return true;
  }

  // What the next read brings, once there is something.
  Result<size_t> read(net::Stream& stream, std::span<char> into) {
    for (;;) {
      const Result<size_t> n = stream.read_now(into);
      if (n || n.error().code != Code::kWouldBlock) return n;
      bool done = false;
      scope.spawn(wait_readable(stream, done));
      if (!reactor->run_until(done, kLimit)) return fail(Code::kTimeout, "test");
    }
  }

  SystemClock real;
  VirtualClock clock;
  std::unique_ptr<Reactor> reactor = Reactor::create(real, {}).value();
  End server;
  End client;
  Scope scope;
};

}  // namespace terrace::certificates

#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string_view>

#include "base/assert.h"
#include "base/descriptor.h"
#include "http/fuzz_checks.h"
#include "reactor/reactor.h"
#include "reactor/task.h"

namespace terrace::http {

// What the fuzzers of HTTP/2 share: a reactor whose time goes on by itself, and a
// connection whose other end is the input.

class SteppingClock final : public Clock {
 public:
  Time now() const override { return now_ += std::chrono::milliseconds(1); }
  WallTime wall() const override { return {}; }

 private:
  mutable Time now_{std::chrono::hours(1)};
};

// Keeps a reactor from waiting for the time that passes anyway.
inline Task<void> spin(Reactor& reactor) {
  for (;;) co_await yield(reactor);
}

struct SocketPair {
  SocketPair() {
    std::array<int, 2> both{};
    ASSERT(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both.data()) == 0);
    ours = Descriptor(both[0]);
    peers = Descriptor(both[1]);
  }
  void say(std::string_view bytes) const {
    if (!bytes.empty()) (void)::send(peers.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  void end() const { ::shutdown(peers.get(), SHUT_WR); }
  // Reads and forgets what was sent to the peer.
  void hear() const {
    std::array<char, 65536> bytes;
    while (::recv(peers.get(), bytes.data(), bytes.size(), 0) > 0) {
    }
  }
  Descriptor ours;
  Descriptor peers;
};

// Fields as HTTP/1 gives them too: what a handler relies on.
inline void check_decoded(const Fields& fields) {
  ASSERT(fields.size() <= Fields::kCapacity);
  int cookies = 0;
  for (const Field& field : fields) {
    ASSERT(is_token(field.name) && !field.name.starts_with(':'));
    ASSERT(field.id == header_id(field.name) && field.id != HeaderId::kHost);
    for (const char c : field.value) ASSERT(is_value_byte(c));
    cookies += field.id == HeaderId::kCookie;
    const bool of_the_connection = field.id == HeaderId::kConnection || field.id == HeaderId::kKeepAlive ||
                                   field.id == HeaderId::kTransferEncoding ||
                                   field.id == HeaderId::kProxyConnection;
    ASSERT(!of_the_connection);
    if (field.id == HeaderId::kUpgrade || field.id == HeaderId::kTe) ASSERT(field.hop_by_hop);
  }
  ASSERT(cookies <= 1);
}

}  // namespace terrace::http

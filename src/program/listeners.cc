#include "program/listeners.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#include "net/address.h"
#include "net/listener.h"

namespace terrace::program {
namespace {

std::string bound_address(int socket) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &length);
  return net::Address::from(storage, length).print();
}

// `shared`: with other sockets of this user that say so, too.
Result<Descriptor> bind_to(const net::Address& address, bool shared) {
  Descriptor socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return fail_system("socket");
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (shared) ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (address.family() == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(socket.get(), address.get(), address.length()) != 0) return fail_system("bind");
  return socket;
}

// Several sockets of one address share its connections (SO_REUSEPORT, socket(7)).
// That alone would also share them with another program of the same user, so the
// address is first taken without; not listened on, as who comes to it then would be reset.
Result<std::vector<Descriptor>> bind_all(const net::Address& requested, uint32_t count) {
  std::vector<Descriptor> sockets;
  Result<Descriptor> alone = bind_to(requested, false);
  if (!alone) return std::unexpected(alone.error());
  const Result<net::Address> address = net::Address::parse(bound_address(alone->get()));
  if (!address) return std::unexpected(address.error());
  if (count <= 1) {
    sockets.push_back(std::move(*alone));
  } else {
    alone->reset();
    for (uint32_t i = 0; i < count; ++i) {
      Result<Descriptor> socket = bind_to(*address, true);
      if (!socket) return std::unexpected(socket.error());
      sockets.push_back(std::move(*socket));
    }
  }
  // None listens before all are bound: a connection would find half of them.
  for (const Descriptor& socket : sockets) {
    if (::listen(socket.get(), SOMAXCONN) != 0) return fail_system("listen");
  }
  return sockets;
}

}  // namespace

Result<const Listeners::Held*> Listeners::listen(Purpose purpose, std::string_view requested) {
  const auto same = [&](const Held& each) { return each.purpose == purpose && each.requested == requested; };
  if (const auto found = std::ranges::find_if(held_, same); found != held_.end()) return &*found;
  if (held_.size() >= kListenersMax) return fail(Code::kLimit, "listen", "too many addresses");
  const Result<net::Address> address = net::Address::parse(requested);
  if (!address) return std::unexpected(address.error());
  if (address->family() == AF_UNIX) return fail(Code::kInvalid, "listen", "not an IP address");
  const uint32_t count = purpose == Purpose::kAdmin ? 1 : sockets_per_address_;
  Result<std::vector<Descriptor>> sockets = bind_all(*address, count);
  if (!sockets) return std::unexpected(sockets.error());
  Held held{.purpose = purpose,
            .requested = std::string(requested),
            .bound = bound_address(sockets->front().get()),
            .sockets = std::move(*sockets)};
  held_.push_back(std::move(held));
  return &held_.back();
}

// The worker empties their queues and closes them, too. A visitor's browser has nobody else to
// go to and tries again; a load balancer shall hear at once that it has to ask another server.
bool Listeners::unlisten(Purpose purpose, std::string_view requested) {
  for (const Held& each : held_) {
    if (each.purpose != purpose || each.requested != requested) continue;
    if (purpose == Purpose::kHop) continue;
    for (const Descriptor& socket : each.sockets) net::stop_new_connections(socket.get());
  }
  return std::erase_if(held_, [&](const Held& each) {
           return each.purpose == purpose && each.requested == requested;
         }) > 0;
}

std::string_view word_of(Purpose purpose) {
  switch (purpose) {
    case Purpose::kWeb:
      return "web";
    case Purpose::kAdmin:
      return "admin";
    case Purpose::kTcp:
      return "tcp";
    case Purpose::kHop:
      return "hop";
  }
  return "";
}

Listener record_of(const Listeners::Held& held, uint32_t index) {
  Listener record;
  record.purpose = held.purpose;
  record.index = index;
  record.count = static_cast<uint32_t>(held.sockets.size());
  (void)record.requested.set(held.requested);
  (void)record.bound.set(held.bound);
  return record;
}

}  // namespace terrace::program

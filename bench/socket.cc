#include "bench/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace terrace::bench {
namespace {

constexpr int kBacklog = 4096;

void no_delay(int fd) {
  const int on = 1;
  // Refused on a Unix socket, which has no delay to switch off.
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Result<void> bind_source(int fd, int source) {
  const int on = 1;
  // The port is chosen at connect, when the destination is known (ip(7)).
  if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0) {
    return fail_system("setsockopt IP_BIND_ADDRESS_NO_PORT");
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + static_cast<uint32_t>(source));
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return fail_system("bind");
  return {};
}

}  // namespace

Result<Endpoint> Endpoint::parse(const std::string& text) {
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix)) return parse_unix(text.substr(kUnix.size()));
  return parse_inet(text);
}

Result<Endpoint> Endpoint::parse_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail(Code::kInvalid, "endpoint", "the path of a Unix socket has 1 to 107 bytes");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Endpoint endpoint;
  std::memcpy(&endpoint.address_, &address, sizeof address);
  endpoint.size_ = sizeof address;
  return endpoint;
}

Result<Endpoint> Endpoint::parse_inet(const std::string& text) {
  const size_t colon = text.rfind(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (colon == std::string::npos ||
      inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    return fail(Code::kInvalid, "endpoint", "neither an IPv4 address with a port nor unix:/path");
  }
  const int port = std::atoi(text.c_str() + colon + 1);
  if (port <= 0 || port > 65535) return fail(Code::kInvalid, "endpoint", "not a port");
  address.sin_port = htons(static_cast<uint16_t>(port));
  Endpoint endpoint;
  std::memcpy(&endpoint.address_, &address, sizeof address);
  endpoint.size_ = sizeof address;
  return endpoint;
}

Result<Descriptor> listen_on(const Endpoint& endpoint) {
  Descriptor fd(socket(endpoint.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_system("socket");
  const int on = 1;
  if (endpoint.family() == AF_UNIX) {
    (void)unlink(reinterpret_cast<const sockaddr_un*>(endpoint.address())->sun_path);
  } else if (setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
    return fail_system("setsockopt SO_REUSEADDR");
  }
  if (bind(fd.get(), endpoint.address(), endpoint.size()) != 0) return fail_system("bind");
  if (listen(fd.get(), kBacklog) != 0) return fail_system("listen");
  return fd;
}

Result<Descriptor> connect_to(const Endpoint& endpoint, int source) {
  Descriptor fd(socket(endpoint.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_system("socket");
  if (source > 0 && endpoint.family() == AF_INET) {
    const Result<void> bound = bind_source(fd.get(), source);
    if (!bound) return std::unexpected(bound.error());
  }
  if (connect(fd.get(), endpoint.address(), endpoint.size()) != 0) return fail_system("connect");
  no_delay(fd.get());
  if (fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return fail_system("fcntl");
  return fd;
}

Descriptor accept_from(int listener) {
  Descriptor fd(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd) no_delay(fd.get());
  return fd;
}

}  // namespace terrace::bench

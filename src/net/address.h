#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace terrace::net {

// An IP address; IPv4 is kept in its IPv6-mapped form (RFC 4291 section 2.5.5.2),
// so that the two spellings of one client compare equal.
struct Ip {
  std::array<uint8_t, 16> bytes{};

  static Result<Ip> parse(std::string_view text);
  bool is_v4() const;
  bool is_loopback() const;
  // "192.0.2.1" or "2001:db8::1"; a view of `into`, which holds 46 bytes or more.
  std::string_view print(std::span<char> into) const;
  bool operator==(const Ip&) const = default;
};

// A network in CIDR form, "10.0.0.0/8" or one address.
struct Network {
  Ip ip;
  int prefix = 128;  // bits, of the 128 of the mapped form

  static Result<Network> parse(std::string_view text);
  bool contains(const Ip& address) const;
};

// The other end of a TCP connection; small, since every connection keeps one.
struct Peer {
  Ip ip;
  uint16_t port = 0;
  bool local = false;  // over a Unix socket: no address
};

// Where to listen or connect: an IP address with a port, or the path of a Unix socket.
class Address {
 public:
  Address() = default;
  // "127.0.0.1:80", "[::1]:80", "unix:/path" (at most 107 bytes of path).
  static Result<Address> parse(std::string_view text);
  static Address loopback(uint16_t port);
  static Result<Address> unix_socket(std::string_view path);
  static Address from(const sockaddr_storage& storage, socklen_t length);

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t length() const { return length_; }
  int family() const { return storage_.ss_family; }
  uint16_t port() const;
  Peer peer() const;
  std::string print() const;

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

}  // namespace terrace::net

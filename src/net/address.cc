#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>

namespace terrace::net {
namespace {

constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

template <class Number>
bool parse_number(std::string_view text, Number& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

Ip mapped(const void* four) {
  Ip ip;
  std::memcpy(ip.bytes.data(), kMapped.data(), kMapped.size());
  std::memcpy(ip.bytes.data() + 12, four, 4);
  return ip;
}

}  // namespace

Result<Ip> Ip::parse(std::string_view text) {
  char copy[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof copy) return fail(Code::kInvalid, "address", "not an IP address");
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = 0;
  in_addr four{};
  if (::inet_pton(AF_INET, copy, &four) == 1) return mapped(&four);
  Ip ip;
  if (::inet_pton(AF_INET6, copy, ip.bytes.data()) == 1) return ip;
  return fail(Code::kInvalid, "address", "not an IP address");
}

bool Ip::is_v4() const { return std::memcmp(bytes.data(), kMapped.data(), kMapped.size()) == 0; }

bool Ip::is_loopback() const {
  if (is_v4()) return bytes[12] == 127;
  return IN6_IS_ADDR_LOOPBACK(reinterpret_cast<const in6_addr*>(bytes.data()));
}

// Written out for IPv4: it is done for every request, and inet_ntop(3) is slow.
std::string_view Ip::print(std::span<char> into) const {
  if (!is_v4()) {
    const char* text = ::inet_ntop(AF_INET6, bytes.data(), into.data(), static_cast<socklen_t>(into.size()));
    return text != nullptr ? text : "";
  }
  char* at = into.data();
  for (size_t i = 12; i < 16; ++i) {
    at = std::to_chars(at, into.data() + into.size(), bytes[i]).ptr;
    if (i < 15) *at++ = '.';
  }
  return {into.data(), static_cast<size_t>(at - into.data())};
}

Result<Network> Network::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const Result<Ip> ip = Ip::parse(text.substr(0, slash));
  if (!ip) return std::unexpected(ip.error());
  Network network{.ip = *ip, .prefix = 128};
  if (slash == std::string_view::npos) return network;
  int bits = 0;
  const int most = ip->is_v4() ? 32 : 128;
  if (!parse_number(text.substr(slash + 1), bits) || bits < 0 || bits > most) {
    return fail(Code::kInvalid, "network", "the prefix length is out of range");
  }
  network.prefix = bits + (128 - most);
  return network;
}

bool Network::contains(const Ip& address) const {
  const auto whole = static_cast<size_t>(prefix / 8);
  if (std::memcmp(address.bytes.data(), ip.bytes.data(), whole) != 0) return false;
  const int rest = prefix % 8;
  if (rest == 0) return true;
  const int mask = 0xff << (8 - rest);
  return ((address.bytes[whole] ^ ip.bytes[whole]) & mask & 0xff) == 0;
}

Result<Address> Address::parse(std::string_view text) {
  if (text.starts_with("unix:")) return unix_socket(text.substr(5));
  const size_t colon = text.rfind(':');
  uint16_t port = 0;
  if (colon == std::string_view::npos || !parse_number(text.substr(colon + 1), port)) {
    return fail(Code::kInvalid, "address", "not of the form ADDRESS:PORT");
  }
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const Result<Ip> ip = Ip::parse(host);
  if (!ip) return std::unexpected(ip.error());
  if (bracketed == ip->is_v4()) return fail(Code::kInvalid, "address", "an IPv6 address stands in [ ]");
  Address address;
  if (ip->is_v4()) {
    sockaddr_in four{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
    std::memcpy(&four.sin_addr, ip->bytes.data() + 12, 4);
    std::memcpy(&address.storage_, &four, sizeof four);
    address.length_ = sizeof four;
  } else {
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    std::memcpy(&six.sin6_addr, ip->bytes.data(), 16);
    std::memcpy(&address.storage_, &six, sizeof six);
    address.length_ = sizeof six;
  }
  return address;
}

Address Address::loopback(uint16_t port) {
  Address address;
  sockaddr_in four{
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  std::memcpy(&address.storage_, &four, sizeof four);
  address.length_ = sizeof four;
  return address;
}

Result<Address> Address::unix_socket(std::string_view path) {
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof local.sun_path || path.find('\0') != std::string_view::npos) {
    return fail(Code::kInvalid, "address", "the path of a Unix socket has 1 to 107 bytes");
  }
  std::memcpy(local.sun_path, path.data(), path.size());
  Address address;
  std::memcpy(&address.storage_, &local, sizeof local);
  address.length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

Address Address::from(const sockaddr_storage& storage, socklen_t length) {
  Address address;
  address.storage_ = storage;
  address.length_ = length;
  return address;
}

uint16_t Address::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(storage_).sin_port);
  if (family() == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(storage_).sin6_port);
  return 0;
}

Peer Address::peer() const {
  Peer peer;
  peer.port = port();
  if (family() == AF_INET) {
    peer.ip = mapped(&reinterpret_cast<const sockaddr_in&>(storage_).sin_addr);
  } else if (family() == AF_INET6) {
    std::memcpy(peer.ip.bytes.data(), &reinterpret_cast<const sockaddr_in6&>(storage_).sin6_addr, 16);
  } else {
    peer.local = true;
  }
  return peer;
}

std::string Address::print() const {
  if (family() == AF_UNIX)
    return std::string("unix:") + reinterpret_cast<const sockaddr_un&>(storage_).sun_path;
  char text[INET6_ADDRSTRLEN];
  const std::string ip(peer().ip.print(text));
  return (family() == AF_INET6 ? "[" + ip + "]" : ip) + ":" + std::to_string(port());
}

}  // namespace terrace::net

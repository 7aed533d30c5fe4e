#include "program/own_server.h"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <memory>

namespace terrace::program {
namespace {

struct FreeInterfaces {
  void operator()(ifaddrs* list) const { ::freeifaddrs(list); }
};

std::unexpected<std::string> wrong(std::string text) { return std::unexpected(std::move(text)); }

std::string entries(const topology::Site& site) {
  std::string text;
  for (const topology::Server& server : site.servers)
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", server.name, server.address);
  return text;
}

std::string list_of(std::span<const net::Ip> addresses) {
  std::string text;
  for (const net::Ip& address : addresses) {
    std::array<char, 46> into;
    text += fmt::format("{}{}", text.empty() ? "" : ", ", address.print(into));
  }
  return text.empty() ? "none" : text;
}

}  // namespace

std::vector<net::Ip> own_addresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, FreeInterfaces> owned(list);
  std::vector<net::Ip> addresses;
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || (each->ifa_flags & IFF_UP) == 0 || (each->ifa_flags & IFF_LOOPBACK) != 0)
      continue;
    const int family = each->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    sockaddr_storage storage{};
    const socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    std::copy_n(reinterpret_cast<const char*>(each->ifa_addr), length, reinterpret_cast<char*>(&storage));
    addresses.push_back(net::Address::from(storage, length).peer().ip);
  }
  return addresses;
}

std::expected<std::string, std::string> own_server(const topology::Site& site, const std::string& named,
                                                   std::span<const net::Ip> addresses) {
  if (!named.empty()) {
    if (std::ranges::find(site.servers, named, &topology::Server::name) != site.servers.end()) return named;
    return wrong(fmt::format("this machine is `{}`, and [servers] has no such entry: {}", named,
                             site.servers.empty() ? "it has none at all" : entries(site)));
  }
  if (site.servers.empty()) return "";
  if (site.servers.size() == 1) return site.servers[0].name;
  std::vector<std::string> ours;
  for (const topology::Server& server : site.servers) {
    const Result<net::Ip> address = net::Ip::parse(server.address);
    if (address && std::ranges::find(addresses, *address) != addresses.end()) ours.push_back(server.name);
  }
  if (ours.size() == 1) return ours[0];
  if (ours.size() > 1)
    return wrong(
        fmt::format("this machine has the addresses of several entries of [servers], {} and {} among "
                    "them: say which one it is with `terrace up --server {}`",
                    ours[0], ours[1], ours[0]));
  return wrong(
      fmt::format("no entry of [servers] has an address of this machine\n"
                  "  [servers]: {}\n"
                  "  this machine: {}\n"
                  "  = say which one it is with `terrace up --server {}`\n"
                  "  = to try the whole site on this machine: `terrace lab up`",
                  entries(site), list_of(addresses), site.servers[0].name));
}

bool only_balances(const topology::Site& site, const std::string& own) {
  using topology::Role;
  return std::ranges::any_of(site.servers, [&](const topology::Server& server) {
    return server.name == own && has_role(server, Role::kLb) && !has_role(server, Role::kWeb) &&
           !has_role(server, Role::kApp);
  });
}

}  // namespace terrace::program

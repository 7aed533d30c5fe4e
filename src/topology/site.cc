#include "topology/site.h"

#include <fmt/format.h>

#include <algorithm>

namespace terrace::topology {

bool has_role(const Server& server, Role role) {
  return std::ranges::find(server.roles, role) != server.roles.end();
}

bool has_role(const Site& site, Role role) {
  return std::ranges::any_of(site.servers, [role](const Server& server) { return has_role(server, role); });
}

std::string at_port(const Server& server, int port) {
  const bool v6 = server.address.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", server.address, v6 ? "]" : "", port);
}

}  // namespace terrace::topology

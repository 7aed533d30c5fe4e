#include "topology/pools.h"

#include <algorithm>
#include <optional>

namespace terrace::topology {
namespace {

PoolMember member_of(const Site& site, const Server& server) {
  return {
      .name = server.name, .address = at_port(server, site.lb.port), .weight = server.weight, .own = true};
}

PoolMember member_of(const LbBackend& backend) {
  return {.name = backend.name,
          .address = backend.address,
          .weight = backend.weight,
          .own = false,
          .proxy = backend.proxy};
}

// Everyone who can be behind a load balancer.
std::vector<PoolMember> all_members(const Site& site) {
  std::vector<PoolMember> members;
  for (const Server& server : site.servers) {
    if (has_role(server, Role::kWeb)) members.push_back(member_of(site, server));
  }
  for (const LbBackend& backend : site.lb_backends) members.push_back(member_of(backend));
  return members;
}

Pool resolve(const LbPool& pool, const std::vector<PoolMember>& all) {
  Pool resolved{.name = pool.name,
                .hosts = pool.hosts,
                .paths = pool.paths,
                .tcp = pool.tcp,
                .settings = pool.settings,
                .members = {}};
  for (const std::string& name : pool.servers) {
    const auto member = std::ranges::find(all, name, &PoolMember::name);
    if (member != all.end()) resolved.members.push_back(*member);
  }
  return resolved;
}

}  // namespace

std::vector<Pool> pools_of(const Site& site) {
  const std::vector<PoolMember> all = all_members(site);
  std::vector<Pool> pools;
  for (const LbPool& pool : site.lb_pools) pools.push_back(resolve(pool, all));
  Pool rest{.name = {}, .settings = site.lb.pool};
  for (const PoolMember& member : all) {
    const bool taken = std::ranges::any_of(site.lb_pools, [&](const LbPool& pool) {
      return std::ranges::find(pool.servers, member.name) != pool.servers.end();
    });
    if (!taken) rest.members.push_back(member);
  }
  pools.push_back(std::move(rest));
  return pools;
}

}  // namespace terrace::topology

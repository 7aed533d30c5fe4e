#include "cluster/placement.h"

#include <algorithm>

namespace terrace::cluster {

std::string_view name_of(Keeper keeper) { return keeper == Keeper::kEtcd ? "etcd" : "coordinator"; }

bool Placement::holds(std::string_view server) const {
  return std::ranges::find(holders, server) != holders.end();
}

Placement chosen(std::span<const std::string> servers, const Placement& now) {
  Placement next = now;
  if (servers.empty()) return next;
  next.keeper = servers.size() < kVoters ? Keeper::kCoordinator : Keeper::kEtcd;
  const size_t count = next.keeper == Keeper::kEtcd ? kVoters : 1;
  next.holders.clear();
  for (const std::string& holder : now.holders) {
    if (next.holders.size() < count && std::ranges::find(servers, holder) != servers.end())
      next.holders.push_back(holder);
  }
  for (const std::string& server : servers) {
    if (next.holders.size() < count && !next.holds(server)) next.holders.push_back(server);
  }
  return next;
}

}  // namespace terrace::cluster

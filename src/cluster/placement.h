#pragma once

// Who holds the shared state of a site. With one or two servers a coordinator; with
// three or more etcd on three of them, its voters: two more would only make every
// commit wait for more disks, and losing two servers of a small site at once is rare.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/state.h"

namespace terrace::cluster {

enum class Keeper : uint8_t { kCoordinator, kEtcd };
std::string_view name_of(Keeper keeper);

// Several servers, and each of them at most so often in one site.
constexpr size_t kServersMax = 64;
constexpr size_t kVoters = 3;

struct Placement {
  // Raised with every move and every change of holders: of two that differ the higher
  // one holds. 0: not known.
  int64_t generation = 0;
  Keeper keeper = Keeper::kCoordinator;
  std::vector<std::string> holders;  // the coordinator, or the voters, by name
  // With etcd: what is added to its revisions, so that no version of before the move
  // comes again.
  Version base = 0;
  bool operator==(const Placement&) const = default;
  bool holds(std::string_view server) const;
};

// Who shall hold the state of these servers, which stand in the order of the file:
// holders of now stay as long as they are in the file, so that nothing moves without
// need. Generation and base are those of `now`; no servers: as now.
Placement chosen(std::span<const std::string> servers, const Placement& now);

}  // namespace terrace::cluster

#pragma once

#include <string>
#include <vector>

#include "topology/site.h"

namespace terrace::topology {

// Whom a load balancer of the site sends to: [servers], [lb.backends] and [lb.pools] put
// together.

struct PoolMember {
  std::string name;
  std::string address;  // with its port
  int weight = 1;
  bool own = false;    // one of our web servers, by the encrypted port
  bool proxy = false;  // its connections begin with PROXY v2
};

struct Pool {
  std::string name;  // empty: of all that no other pool takes
  std::vector<std::string> hosts;
  std::vector<std::string> paths;
  std::vector<std::string> tcp;
  PoolSettings settings;
  std::vector<PoolMember> members;
};

// In the order in which they are asked; the last is the one without a name, which may be
// without members, too. Members are in the order of the file: that of their pool, or our
// own servers first.
std::vector<Pool> pools_of(const Site& site);

}  // namespace terrace::topology

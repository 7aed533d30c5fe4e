#pragma once

// What one server of a site listens on.
//
// Without a load balancer everyone with the role web takes visitors on `[web] listen`. With
// one, visitors come to the servers with the role lb and to nobody else; a web server is
// reached by the load balancers of other servers over the hop, on `port` of [lb]. Roles on
// one server need no address between them.

#include <string>
#include <vector>

#include "program/records.h"
#include "topology/site.h"

namespace terrace::program {

struct SiteAddress {
  Purpose purpose = Purpose::kWeb;
  std::string address;
  bool operator==(const SiteAddress&) const = default;
};

// Each once, in the order in which they are opened. `own`: the server's entry in [servers];
// null for a site without.
std::vector<SiteAddress> addresses_of(const topology::Site& site, const topology::Server* own);

// Requests come there, so that it is given up by a server that shall have none.
bool takes_visitors(Purpose purpose);

}  // namespace terrace::program

#pragma once

#include "topology/findings.h"
#include "topology/site.h"

namespace terrace::topology {

// Rules of whom a load balancer sends to: nobody twice, nobody who would send the request
// back, nobody who cannot understand it, somebody for every request.
void check_lb_backend_rules(const Site& site, Findings& findings);

}  // namespace terrace::topology

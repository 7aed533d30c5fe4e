#pragma once

#include "topology/findings.h"
#include "topology/site.h"

namespace terrace::topology {

// The rules of [lb], its backends and pools; and what is to be said of a site that has
// several servers: what is still on one of them only.
void check_lb_rules(const Site& site, Findings& findings);

}  // namespace terrace::topology

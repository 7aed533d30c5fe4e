#pragma once

#include <vector>

#include "config/field.h"
#include "topology/site.h"

namespace terrace::topology {

// [lb], [lb.backends] and [lb.pools]; a part of site_tables().
std::vector<config::Table> lb_tables(Site& site);

}  // namespace terrace::topology

#pragma once

#include <vector>

#include "config/field.h"
#include "topology/site.h"

namespace terrace::topology {

// The site file as a table of fields, bound to the members of `site`; what these
// hold is the default. `site` must outlive what is returned.
std::vector<config::Table> site_tables(Site& site);

}  // namespace terrace::topology

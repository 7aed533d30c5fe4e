#pragma once

#include "config/diagnostic.h"
#include "config/reader.h"
#include "topology/load.h"
#include "topology/site.h"

namespace terrace::topology {

// The rules that look across keys. Each reports what it finds and trusts only
// what is set: a value that was refused already is no reason for another error.
void check_rules(const Site& site, const config::Origins& origins, const LoadOptions& options,
                 config::Diagnostics& diagnostics);

}  // namespace terrace::topology

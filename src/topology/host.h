#pragma once

#include <string_view>

#include "topology/site.h"

namespace terrace::topology {

// Whether a request for `host` (a name without its port, in any case) is for this
// site: its domain, with `www.` in front or without. A site without a domain answers
// to every name.
bool is_name_of(const Site& site, std::string_view host);

}  // namespace terrace::topology

#pragma once

#include <string_view>

#include "topology/site.h"

namespace terrace::topology {

// Whether `host` (a name without its port, in any case) is the name, or fits "*.example.com":
// any one part in front of the rest.
bool host_fits(std::string_view pattern, std::string_view host);

// Whether a request for `host` is for this site: its domain, with `www.` in front or
// without, or a host of [lb.pools]. A site without a domain answers to every name.
bool is_name_of(const Site& site, std::string_view host);

}  // namespace terrace::topology

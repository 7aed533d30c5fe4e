#include "topology/host.h"

#include <strings.h>

namespace terrace::topology {
namespace {

bool same_name(std::string_view one, std::string_view other) {
  return one.size() == other.size() && ::strncasecmp(one.data(), other.data(), one.size()) == 0;
}

}  // namespace

bool is_name_of(const Site& site, std::string_view host) {
  const std::string& domain = site.site.domain;
  if (domain.empty()) return true;
  if (host.size() > 4 && same_name(host.substr(0, 4), "www.")) host.remove_prefix(4);
  return same_name(host, domain);
}

}  // namespace terrace::topology

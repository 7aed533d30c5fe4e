#include "topology/host.h"

#include <strings.h>

namespace terrace::topology {
namespace {

bool same_name(std::string_view one, std::string_view other) {
  return one.size() == other.size() && ::strncasecmp(one.data(), other.data(), one.size()) == 0;
}

}  // namespace

bool host_fits(std::string_view pattern, std::string_view host) {
  if (!pattern.starts_with("*.")) return same_name(pattern, host);
  const size_t dot = host.find('.');
  return dot != std::string_view::npos && dot > 0 && same_name(pattern.substr(1), host.substr(dot));
}

bool is_name_of(const Site& site, std::string_view host) {
  const std::string& domain = site.site.domain;
  if (domain.empty()) return true;
  for (const LbPool& pool : site.lb_pools) {
    for (const std::string& pattern : pool.hosts) {
      if (host_fits(pattern, host)) return true;
    }
  }
  if (host.size() > 4 && same_name(host.substr(0, 4), "www.")) host.remove_prefix(4);
  return same_name(host, domain);
}

}  // namespace terrace::topology

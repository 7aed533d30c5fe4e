#include "lb/routes.h"

#include <algorithm>

#include "base/assert.h"
#include "http/path_pattern.h"
#include "topology/host.h"

namespace terrace::lb {

Routes::Routes(const std::vector<topology::Pool>& pools) : rest_(pools.size() - 1) {
  ASSERT(!pools.empty());
  for (size_t i = 0; i < rest_; ++i) {
    if (!pools[i].tcp.empty()) continue;
    routes_.push_back({.pool = i, .hosts = pools[i].hosts, .paths = {}});
    by_path_ = by_path_ || !pools[i].paths.empty();
    for (const std::string& path : pools[i].paths) routes_.back().paths.push_back(http::decode_pattern(path));
  }
}

size_t Routes::find(std::string_view host, std::string_view path) const {
  for (const Route& route : routes_) {
    if (fits(route, host, path)) return route.pool;
  }
  return rest_;
}

bool Routes::fits(const Route& route, std::string_view host, std::string_view path) {
  const auto fits_host = [host](const std::string& pattern) { return topology::host_fits(pattern, host); };
  const auto fits_path = [path](const std::string& pattern) {
    return !path.empty() && http::pattern_fits(pattern, path);
  };
  return (route.hosts.empty() || std::ranges::any_of(route.hosts, fits_host)) &&
         (route.paths.empty() || std::ranges::any_of(route.paths, fits_path));
}

}  // namespace terrace::lb

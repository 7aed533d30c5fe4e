#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "topology/pools.h"

namespace terrace::lb {

// Which pool takes a request, by its host and path. Immutable; any thread.
class Routes {
 public:
  // `pools` as topology::pools_of() gives them. Those with `tcp` take no requests.
  explicit Routes(const std::vector<topology::Pool>& pools);

  // The position of the first pool that fits, which is the last of all when no other does.
  // `host` without its port, in any case; `path` as http::normalise_path() gives it, so that
  // nobody reaches a pool by another spelling. One that cannot be normalised is empty here:
  // it fits no pattern.
  size_t find(std::string_view host, std::string_view path) const;

  // Whether find() looks at paths at all.
  bool by_path() const { return by_path_; }

 private:
  struct Route {
    size_t pool = 0;
    std::vector<std::string> hosts;
    std::vector<std::string> paths;
  };
  static bool fits(const Route& route, std::string_view host, std::string_view path);
  std::vector<Route> routes_;
  size_t rest_;
  bool by_path_ = false;
};

}  // namespace terrace::lb

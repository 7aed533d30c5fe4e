#include "topology/lb_backend_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "net/address.h"
#include "topology/pools.h"

namespace terrace::topology {
namespace {

bool is_everywhere(const net::Ip& ip) {
  return ip == *net::Ip::parse("::") || ip == *net::Ip::parse("0.0.0.0");
}

bool is_any_path(const std::string& pattern) { return pattern == "*" || pattern == "/*"; }

bool all_in(const std::vector<std::string>& inner, const std::vector<std::string>& outer) {
  return std::ranges::all_of(
      inner, [&](const std::string& one) { return std::ranges::find(outer, one) != outer.end(); });
}

bool takes_any_path(const LbPool& pool) {
  return pool.paths.empty() || std::ranges::any_of(pool.paths, is_any_path);
}

// Whether every request that `later` takes has gone to `pool` before.
bool takes_all_of(const LbPool& pool, const LbPool& later) {
  if (pool.hosts.empty() && pool.paths.empty()) return false;
  const bool hosts = pool.hosts.empty() || (!later.hosts.empty() && all_in(later.hosts, pool.hosts));
  const bool paths = takes_any_path(pool) || (!later.paths.empty() && all_in(later.paths, pool.paths));
  return hosts && paths;
}

class BackendRules {
 public:
  BackendRules(const Site& site, Findings& findings) : site_(site), findings_(findings) {}

  void check() {
    for (const LbBackend& backend : site_.lb_backends) leads_elsewhere(backend);
    for (size_t i = 0; i < site_.lb_backends.size(); ++i) is_named_once(i);
    weights_are_of_web_servers();
    somebody_adds_what_web_says();
    for (const LbPool& pool : site_.lb_pools) own_servers_speak_http(pool);
    if (!findings_.complete()) return;
    every_pool_gets_something();
    every_request_has_a_pool();
    somebody_has_weight();
  }

 private:
  std::optional<net::Address> address_of(const LbBackend& backend) const {
    if (findings_.known(path_of(backend)) == nullptr) return std::nullopt;
    const Result<net::Address> address = net::Address::parse(backend.address);
    return address ? std::optional(*address) : std::nullopt;
  }

  static std::string path_of(const LbBackend& backend) { return "lb.backends." + backend.name + ".address"; }

  // Of a server with the role, or of the machine itself.
  bool is_own(const net::Ip& ip, Role role) const {
    return std::ranges::any_of(site_.servers, [&](const Server& server) {
      const Result<net::Ip> own = net::Ip::parse(server.address);
      return has_role(server, role) && own && *own == ip;
    });
  }

  // Whether what is sent to `address` comes to a load balancer that listens on `text`.
  bool comes_back(const net::Address& address, const std::string& text) const {
    const Result<net::Address> open = net::Address::parse(text);
    if (!open || open->port() != address.port()) return false;
    const net::Ip to = address.peer().ip;
    if (!is_everywhere(open->peer().ip)) return open->peer().ip == to;
    return open->family() == address.family() && (to.is_loopback() || is_own(to, Role::kLb));
  }

  void leads_elsewhere(const LbBackend& backend) {
    const std::optional<net::Address> address = address_of(backend);
    if (!address) return;
    const std::string path = path_of(backend);
    const auto leads_back = [&](const std::vector<std::string>& listen) {
      return std::ranges::any_of(listen, [&](const std::string& text) { return comes_back(*address, text); });
    };
    bool back = leads_back(site_.web.listen);
    for (const LbPool& pool : site_.lb_pools) back = back || leads_back(pool.tcp);
    if (back)
      return findings_.report_value("E023", path, "this is the load balancer itself",
                                    "what it sends there comes back to it, again and again");
    const auto own = std::ranges::find_if(site_.servers, [&](const Server& server) {
      const Result<net::Ip> ip = net::Ip::parse(server.address);
      return has_role(server, Role::kWeb) && ip && *ip == address->peer().ip;
    });
    if (own == site_.servers.end() || address->port() != site_.lb.port) return;
    findings_.report_value("E023", path, fmt::format("this is the server `{}`", own->name),
                           "it is behind the load balancer already, and pools know it by its name");
  }

  void is_named_once(size_t index) {
    const std::optional<net::Address> address = address_of(site_.lb_backends[index]);
    for (size_t i = 0; address && i < index; ++i) {
      const std::optional<net::Address> other = address_of(site_.lb_backends[i]);
      if (!other || other->port() != address->port() || other->peer().ip != address->peer().ip) continue;
      return findings_.warn(
          "W004", findings_.origins().find(path_of(site_.lb_backends[index]))->value,
          fmt::format("`{}` has this address, too", site_.lb_backends[i].name), "",
          {"both are checked, limited and ejected by themselves, though they are one server",
           "fix: leave one of them out; more of the requests go to a server with a larger `weight`"});
    }
  }

  void weights_are_of_web_servers() {
    if (!has_role(site_, Role::kLb)) return;
    for (const Server& server : site_.servers) {
      const std::string path = "servers." + server.name + ".weight";
      if (findings_.known(path) == nullptr || server.weight == 1 || has_role(server, Role::kWeb)) continue;
      findings_.report_key("E022", path, fmt::format("`{}` needs the role `web`", path),
                           "nobody sends requests to a load balancer");
    }
  }

  // The load balancer passes on what backends answer. Files it keeps for pages of errors.
  void somebody_adds_what_web_says() {
    if (!findings_.complete() || has_role(site_, Role::kWeb) || !findings_.set("lb.backends")) return;
    if (!has_role(site_, Role::kLb)) return;
    constexpr std::array kKeys{"files", "index", "cache", "headers", "redirects"};
    for (const std::string key : kKeys) {
      const std::string path = "web." + key;
      const bool for_errors = (key == "files" || key == "index") && findings_.set("web.errors");
      if (findings_.known(path) == nullptr || for_errors) continue;
      findings_.report_key("E022", path, fmt::format("`{}` needs a server with the role `web`", path),
                           "those of [lb.backends] answer as they like");
    }
  }

  void own_servers_speak_http(const LbPool& pool) {
    if (pool.tcp.empty()) return;
    for (size_t i = 0; i < pool.servers.size(); ++i) {
      const std::string path = fmt::format("lb.pools.{}.servers.{}", pool.name, i);
      const auto own = std::ranges::find(site_.servers, pool.servers[i], &Server::name);
      if (findings_.known(path) == nullptr || own == site_.servers.end()) continue;
      findings_.report_value("E023", path,
                             fmt::format("pool `{}` has `tcp`, and a server of the site", pool.name),
                             "it takes requests of the site only; `tcp` leads to [lb.backends]");
    }
  }

  void every_pool_gets_something() {
    for (size_t i = 0; i < site_.lb_pools.size(); ++i) {
      const LbPool& later = site_.lb_pools[i];
      if (!later.tcp.empty()) continue;
      for (size_t j = 0; j < i; ++j) {
        const LbPool& pool = site_.lb_pools[j];
        if (!pool.tcp.empty() || !takes_all_of(pool, later)) continue;
        findings_.warn("W004", key_of(later), fmt::format("pool `{}` gets no request", later.name), "",
                       {fmt::format("`{}` stands before it and takes all that it would take", pool.name),
                        "fix: the pool that takes less comes first"});
        break;
      }
    }
  }

  config::Span key_of(const LbPool& pool) const {
    return findings_.origins().find("lb.pools." + pool.name)->key;
  }

  void every_request_has_a_pool() {
    const auto takes_requests = [](const LbPool& pool) { return pool.tcp.empty(); };
    const auto first = std::ranges::find_if(site_.lb_pools, takes_requests);
    const bool all_taken = std::ranges::any_of(site_.lb_pools, [](const LbPool& pool) {
      return pool.tcp.empty() && pool.hosts.empty() && takes_any_path(pool);
    });
    if (first == site_.lb_pools.end() || all_taken || !has_role(site_, Role::kLb)) return;
    if (!pools_of(site_).back().members.empty()) return;
    findings_.warn("W004", key_of(*first), "every server is in a pool", "",
                   {"a request that no pool takes has nobody to go to, and is answered with 503",
                    "fix: leave a server out of the pools, or add one more pool with paths = [\"/*\"]"});
  }

  void somebody_has_weight() {
    if (!has_role(site_, Role::kLb)) return;
    for (const Pool& pool : pools_of(site_)) {
      if (pool.members.empty() ||
          std::ranges::any_of(pool.members, [](const PoolMember& one) { return one.weight > 0; }))
        continue;
      const PoolMember& first = pool.members.front();
      const std::string path = (first.own ? "servers." : "lb.backends.") + first.name + ".weight";
      if (findings_.known(path) == nullptr) continue;
      findings_.warn("W004", findings_.origins().find(path)->key,
                     pool.name.empty() ? "no server gets a request"
                                       : fmt::format("no server of pool `{}` gets a request", pool.name),
                     "", {"the weight of each is 0, and visitors get the page for 503"});
    }
  }

  const Site& site_;
  Findings& findings_;
};

}  // namespace

void check_lb_backend_rules(const Site& site, Findings& findings) { BackendRules(site, findings).check(); }

}  // namespace terrace::topology

#include "topology/lb_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/suggest.h"
#include "net/address.h"
#include "topology/lb_backend_rules.h"

namespace terrace::topology {
namespace {

class LbRules {
 public:
  LbRules(const Site& site, Findings& findings) : site_(site), findings_(findings) {}

  void check() {
    if (findings_.complete()) {
      keys_need_the_role();
      has_backends();
      there_are_not_too_many();
      nothing_is_on_one_server_only();
    }
    names_are_apart();
    settings_fit("lb", site_.lb.pool);
    timeouts_fit();
    burst_needs_rate();
    proxies_are_not_everyone();
    for (const LbPool& pool : site_.lb_pools) pool_fits(pool);
  }

 private:
  bool balanced() const { return has_role(site_, Role::kLb); }

  void keys_need_the_role() {
    if (balanced()) return;
    for (const auto& [path, origin] : findings_.origins().all()) {
      if (!path.starts_with("lb.")) continue;
      findings_.report("E022", origin.key, fmt::format("`{}` needs a load balancer", path),
                       "no server has the role `lb`",
                       {"fix: add a server to [servers] with the role, such as lb1 = { address = "
                        "\"203.0.113.7\", roles = [\"lb\"] }"});
      return;
    }
  }

  void has_backends() {
    if (!balanced() || has_role(site_, Role::kWeb) || findings_.set("lb.backends")) return;
    for (const Server& server : site_.servers) {
      const std::string path = "servers." + server.name + ".roles";
      if (!has_role(server, Role::kLb) || findings_.known(path) == nullptr) continue;
      return findings_.report_value("E022", path, "nobody is behind the load balancer",
                                    "no server has the role `web`, and there is no [lb.backends]",
                                    {"fix: add servers to [servers] with roles = [\"web\"]",
                                     "fix: or add those that Terrace does not run to [lb.backends]"});
    }
  }

  void there_are_not_too_many() {
    const size_t web = static_cast<size_t>(std::ranges::count_if(
        site_.servers, [](const Server& server) { return has_role(server, Role::kWeb); }));
    const size_t all = web + site_.lb_backends.size();
    if (!balanced() || all <= kPoolMembersMax) return;
    const char* path = findings_.set("lb.backends") ? "lb.backends" : "servers";
    findings_.report_key("E014", path, fmt::format("{} servers are behind the load balancer", all),
                         fmt::format("it knows up to {}", kPoolMembersMax));
  }

  void names_are_apart() {
    for (const LbBackend& backend : site_.lb_backends) {
      const auto same = std::ranges::find(site_.servers, backend.name, &Server::name);
      if (same == site_.servers.end()) continue;
      findings_.report_key("E023", "lb.backends." + backend.name,
                           fmt::format("a server has the name `{}`, too", backend.name),
                           "pools know both by their names");
    }
  }

  // Of [lb], or of one pool.
  void settings_fit(const std::string& at, const PoolSettings& settings) {
    const bool by_hash = settings.balance == Balance::kConsistentHash;
    if (findings_.known(at + ".balance") != nullptr && by_hash && settings.hash.empty() &&
        !findings_.set(at + ".hash"))
      findings_.report_value("E022", at + ".balance",
                             fmt::format("`{}.balance` = \"consistent-hash\" needs `hash`", at),
                             "which header or cookie?", {"example: hash = \"cookie:session\""});
    if (findings_.known(at + ".hash") != nullptr && !by_hash && !(at == "lb" && a_pool_takes_the_hash()))
      findings_.report_key("E022", at + ".hash",
                           fmt::format("`{}.hash` needs `balance` = \"consistent-hash\"", at),
                           "nothing looks at it");
    if (findings_.known(at + ".return") != nullptr && !settings.returns &&
        settings.mode != LbMode::kActivePassive)
      findings_.report_key("E022", at + ".return",
                           fmt::format("`{}.return` needs `mode` = \"active-passive\"", at),
                           "all servers serve");
  }

  bool a_pool_takes_the_hash() const {
    return std::ranges::any_of(site_.lb_pools, [this](const LbPool& pool) {
      return pool.settings.balance == Balance::kConsistentHash &&
             !findings_.set("lb.pools." + pool.name + ".hash");
    });
  }

  void timeouts_fit() {
    if (site_.lb.try_timeout <= site_.lb.total_timeout) return;
    for (const char* path : {"lb.try_timeout", "lb.total_timeout"}) {
      if (findings_.known(path) == nullptr) continue;
      return findings_.report_value("E023", path, "`lb.try_timeout` is longer than `lb.total_timeout`",
                                    "one try may not take longer than all of them");
    }
  }

  void burst_needs_rate() {
    if (findings_.known("lb.client_burst") == nullptr || site_.lb.client_rate > 0) return;
    findings_.report_key("E022", "lb.client_burst", "`lb.client_burst` needs `lb.client_rate`",
                         "there is no limit that it would exceed");
  }

  void proxies_are_not_everyone() {
    for (size_t i = 0; i < site_.lb.proxy_from.size(); ++i) {
      const auto network = net::Network::parse(site_.lb.proxy_from[i]);
      const config::Origin* origin = findings_.known(fmt::format("lb.proxy_from.{}", i));
      if (!network || origin == nullptr) continue;
      if (network->prefix > 0 && !(network->ip.is_v4() && network->prefix == 96)) continue;
      findings_.warn("W001", origin->value, "`lb.proxy_from` believes everyone",
                     "any visitor can claim any address",
                     {"fix: name the networks of the proxies in front of this site"});
    }
  }

  void pool_fits(const LbPool& pool) {
    const std::string at = "lb.pools." + pool.name;
    settings_fit(at, pool.settings);
    hash_fits_tcp(at, pool);
    takes_something(at, pool);
    for (size_t i = 0; i < pool.servers.size(); ++i)
      member_exists(fmt::format("{}.servers.{}", at, i), pool, i);
  }

  void hash_fits_tcp(const std::string& at, const LbPool& pool) {
    const bool by_hash = pool.settings.balance == Balance::kConsistentHash;
    if (pool.tcp.empty() || !by_hash || findings_.known(at + ".balance") == nullptr) return;
    findings_.report_value("E023", at + ".balance",
                           fmt::format("pool `{}` has `tcp`, and `balance` = \"consistent-hash\"", pool.name),
                           "connections of any protocol have neither headers nor cookies",
                           {"fix: balance = \"ip-hash\" keeps an address of a client with its server"});
  }

  void takes_something(const std::string& at, const LbPool& pool) {
    // A list that was refused holds something, too.
    const auto nothing = [&](const char* key, const std::vector<std::string>& list) {
      const std::string path = at + "." + key;
      return list.empty() && (!findings_.set(path) || findings_.known(path) != nullptr);
    };
    if (nothing("hosts", pool.hosts) && nothing("paths", pool.paths) && nothing("tcp", pool.tcp))
      return findings_.report_key("E022", at,
                                  fmt::format("pool `{}` needs `hosts`, `paths` or `tcp`", pool.name),
                                  "no request would go there");
    if (pool.tcp.empty() || (pool.hosts.empty() && pool.paths.empty())) return;
    findings_.report_key("E023", at + ".tcp",
                         fmt::format("pool `{}` has `tcp`, and `hosts` or `paths`", pool.name),
                         "connections of any protocol have neither hosts nor paths");
  }

  void member_exists(const std::string& path, const LbPool& pool, size_t index) {
    const std::string& name = pool.servers[index];
    if (findings_.known(path) == nullptr || !findings_.complete()) return;
    if (std::ranges::find(pool.servers.begin(), pool.servers.begin() + static_cast<ptrdiff_t>(index), name) !=
        pool.servers.begin() + static_cast<ptrdiff_t>(index))
      return findings_.report_value("E019", path, fmt::format("`{}` is twice in pool `{}`", name, pool.name),
                                    "leave one of them out");
    std::vector<std::string> names;
    for (const LbBackend& backend : site_.lb_backends) names.push_back(backend.name);
    for (const Server& server : site_.servers) {
      if (has_role(server, Role::kWeb)) names.push_back(server.name);
    }
    if (std::ranges::find(names, name) != names.end()) return;
    const auto meant = config::suggest(name, names);
    findings_.report_value("E015", path,
                           fmt::format("pool `{}` names `{}`, which is nobody", pool.name, name),
                           meant ? fmt::format("did you mean `{}`?", *meant)
                                 : "neither a server with the role `web` nor one of [lb.backends]");
  }

  // What each step of growing leaves behind, with the way on.
  void nothing_is_on_one_server_only() {
    if (site_.servers.size() < 2) return;
    std::vector<const Server*> balancers;
    size_t applications = 0;
    for (const Server& server : site_.servers) {
      if (has_role(server, Role::kLb)) balancers.push_back(&server);
      applications += has_role(server, Role::kApp) ? 1 : 0;
    }
    if (balancers.size() == 1) {
      findings_.warn(
          "SPOF-LB", findings_.origins().find("servers." + balancers[0]->name)->key,
          fmt::format("{} is the only load balancer", balancers[0]->name), "",
          {"if it dies, the whole site is unreachable until it is repaired",
           "fix: add a second server with roles = [\"lb\"], and its address to the site's name in DNS"});
    }
    if (applications > 1 && findings_.known("app.writable") != nullptr && !site_.app.writable.empty()) {
      findings_.warn("W003", findings_.origins().find("app.writable")->key,
                     "`app.writable` is on each of several servers", "each has its own",
                     {"what the application writes on one of them the others do not have",
                      "fix: keep it in the database, or in a storage that all of them reach"});
    }
  }

  const Site& site_;
  Findings& findings_;
};

}  // namespace

void check_lb_rules(const Site& site, Findings& findings) {
  LbRules(site, findings).check();
  check_lb_backend_rules(site, findings);
}

}  // namespace terrace::topology

#include "topology/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <string>

#include "config/quantity.h"
#include "net/address.h"
#include "topology/database_url.h"
#include "topology/findings.h"
#include "topology/forms.h"
#include "topology/lb_rules.h"

namespace terrace::topology {
namespace {

using config::Origin;
using config::Span;

class Rules : private Findings {
 public:
  Rules(const Site& site, const config::Origins& origins, const LoadOptions& options,
        config::Diagnostics& diagnostics)
      : Findings(origins, diagnostics),
        site_(site),
        origins_(origins),
        options_(options),
        complete_(complete()) {}

  void check() {
    if (complete_ && options_.wants_something_to_serve) {
      something_to_serve();
      app_keys_need_run();
      file_keys_need_files();
      fallback_has_its_part();
    }
    if (complete_) {
      www_needs_domain();
      url_needs_app();
      template_has_its_database();
      backups_need_engine();
      link_needs_engine();
    }
    domain_is_bare();
    environment_is_not_ours();
    database_is_one();
    writable_are_apart();
    logs_fit();
    several_servers_fit();
    server_has_roles();
    addresses_are_apart();
    redirects_end();
    trusted_is_not_everyone();
    // What several servers serve comes to each of them by a deploy, wherever the file lies.
    if (options_.look_at_folders && site_.servers.size() < 2) folders_exist();
  }

 private:
  bool has_run() const { return set("app.run"); }
  bool has_files() const { return set("web.files"); }

  void something_to_serve() {
    if (has_run() || has_files() || set("lb.backends")) return;
    // lb_rules.h says that nobody is behind it.
    if (has_role(site_, Role::kLb) && !has_role(site_, Role::kWeb)) return;
    const Origin* table = origins_.find("app") != nullptr ? origins_.find("app") : origins_.find("web");
    report("E020", table != nullptr ? table->key : Span{}, "there is nothing to serve", "",
           {"fix: give [app] a command, such as run = \"npm start\"",
            "fix: or give [web] a folder, such as files = \"public\""});
  }

  void app_keys_need_run() {
    if (has_run() || !has_files()) return;
    for (const auto& [path, origin] : origins_.all()) {
      if (!path.starts_with("app.")) continue;
      report("E022", origin.key, fmt::format("`{}` needs `app.run`", path), "there is no application",
             {"fix: add run = \"npm start\" to [app], or leave [app] out"});
      return;
    }
  }

  void file_keys_need_files() {
    if (has_files()) return;
    for (const char* path : {"web.index", "web.cache", "web.errors"}) {
      if (set(path))
        report_key("E022", path, fmt::format("`{}` needs `web.files`", path), "there are no files",
                   {"fix: add files = \"public\" to [web]"});
    }
  }

  void fallback_has_its_part() {
    if (known("web.fallback") == nullptr) return;
    if (site_.web.fallback == Fallback::kIndex && !has_files())
      report_value("E022", "web.fallback", "`web.fallback` = \"index\" needs `web.files`",
                   "there is no index file");
    if (site_.web.fallback == Fallback::kIndex && has_files() && site_.web.index.empty())
      report_value("E022", "web.fallback", "`web.fallback` = \"index\" needs a name in `web.index`",
                   "`web.index` is empty");
    if (site_.web.fallback == Fallback::kApp && !has_run() && has_files())
      report_value("E022", "web.fallback", "`web.fallback` = \"app\" needs `app.run`",
                   "there is no application");
  }

  void www_needs_domain() {
    if (set("site.www") && site_.site.www != Www::kOff && !set("site.domain"))
      report_key("E022", "site.www", "`site.www` needs `site.domain`", "`www.` of which name?");
  }

  void url_needs_app() {
    if (set("db.url") && !has_run() && has_files())
      report_key("E022", "db.url", "`db.url` needs `app.run`", "there is no application that would use it");
  }

  void domain_is_bare() {
    if (site_.site.domain.starts_with("www.") && known("site.domain") != nullptr)
      report_value("E023", "site.domain", "`site.domain` is the name without `www.`", "leave `www.` out",
                   {"fix: www = \"to-www\" in [site] makes `www.` the name that visitors see"});
  }

  // What Terrace itself puts into the environment.
  void environment_is_not_ours() {
    const bool own_database = site_.db.engine == DbEngine::kNone && !set("db.url");
    for (const Named& variable : site_.app.env) {
      const bool port = variable.name == "PORT" || variable.name == "SOCKET";
      const bool database = !own_database && is_of_database(variable.name);
      if (!port && !database) continue;
      report_key(
          "E023", "app.env." + variable.name, fmt::format("Terrace itself sets `{}`", variable.name),
          port ? "leave it out: each instance gets its own" : "two databases for one application",
          port ? std::vector<std::string>{}
               : std::vector<std::string>{"fix: put the URL into [db] url, or set [db] engine = \"none\""});
    }
  }

  static bool is_of_database(std::string_view variable) {
    constexpr std::array<std::string_view, 7> kOurs{"DATABASE_URL", "DB_HOST",          "DB_PORT", "DB_NAME",
                                                    "DB_USER",      "DB_PASSWORD_FILE", "DB_PATH"};
    return std::ranges::find(kOurs, variable) != kOurs.end();
  }

  void database_is_one() {
    if (known("db.engine") == nullptr || !set("db.url") || site_.db.engine == DbEngine::kNone) return;
    report_value("E023", "db.engine", "`db.engine` and `db.url` name two databases",
                 "leave one of the two out");
  }

  // Placeholders that would always be empty are a mistake.
  void template_has_its_database() {
    // Who gets no secrets does not see `db.url` at all.
    if (known("app.database_url") == nullptr || !options_.resolve("db")) return;
    if (site_.db.engine == DbEngine::kNone && !set("db.url"))
      return report_key("E022", "app.database_url", "`app.database_url` needs a database", "there is none",
                        {"fix: leave it out, or give [db] an engine or a url"});
    DatabaseUrl url{.scheme = "sqlite", .name = "/"};
    if (site_.db.engine != DbEngine::kSqlite) {
      const auto parsed = known("db.url") != nullptr ? parse_database_url(site_.db.url) : std::unexpected("");
      if (!parsed) return;
      url = *parsed;
    }
    const auto names = placeholders(site_.app.database_url);
    for (const std::string_view name : names.value_or(std::vector<std::string_view>())) {
      if (!value_of(url, name).empty()) continue;
      return report_value("E023", "app.database_url",
                          fmt::format("`{{{}}}` in `app.database_url` would be empty", name),
                          url.is_sqlite() ? "of a SQLite file there is `{path}`, and nothing else"
                                          : fmt::format("`db.url` has no {}", name));
    }
  }

  void backups_need_engine() {
    if (site_.db.engine == DbEngine::kSqlite) return;
    for (const char* path : {"db.backup", "db.backups_kept"}) {
      if (known(path) == nullptr || (std::string_view(path) == "db.backup" && site_.db.backup == "off"))
        continue;
      return report_key(
          "E022", path, fmt::format("`{}` needs a database that Terrace runs", path),
          set("db.url") ? "whoever runs the database of `db.url` backs it up" : "there is none");
    }
  }

  void link_needs_engine() {
    if (known("db.link") == nullptr || site_.db.engine == DbEngine::kSqlite) return;
    report_key("E022", "db.link", "`db.link` needs `db.engine` = \"sqlite\"", "there is no file to lead to");
  }

  void writable_are_apart() {
    const std::vector<std::string>& paths = site_.app.writable;
    for (size_t i = 0; i < paths.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        const bool both =
            known(fmt::format("app.writable.{}", i)) && known(fmt::format("app.writable.{}", j));
        if (!both || (!holds(paths[i], paths[j]) && !holds(paths[j], paths[i]))) continue;
        const bool twice = paths[i] == paths[j];
        return report_value(twice ? "E019" : "E023", fmt::format("app.writable.{}", i),
                            twice ? "`app.writable` names the same path twice"
                                  : "one path of `app.writable` is inside another",
                            twice ? "leave one out" : "leave the inner one out");
      }
    }
  }

  void logs_fit() {
    if (site_.logs.total_bytes_max >= site_.logs.file_bytes_max) return;
    for (const char* path : {"logs.total", "logs.file_size"}) {
      if (known(path) != nullptr)
        return report_value(
            "E023", path, "`logs.total` is less than one file of `logs.file_size`",
            fmt::format("{} in all, {} in one file", config::format_size(site_.logs.total_bytes_max),
                        config::format_size(site_.logs.file_bytes_max)));
    }
  }

  void several_servers_fit() {
    if (site_.servers.size() < 2) return cluster_needs_servers();
    for (size_t i = 0; i < site_.servers.size(); ++i) {
      address_is_its_own(i);
      serves_by_itself(site_.servers[i]);
    }
    if (!complete_ || !has_run() || site_.db.engine != DbEngine::kSqlite) return;
    report_key("E022", "servers." + site_.servers[1].name, "SQLite serves one server only",
               "every server would have a database of its own",
               {"fix: give [db] the url of a database server, such as url = \"${secret:DATABASE_URL}\"",
                "fix: or set [db] engine = \"none\" if the application needs none"});
  }

  void cluster_needs_servers() {
    for (const char* path : {"cluster.port", "cluster.certificate_life"}) {
      if (complete_ && known(path) != nullptr)
        return report_key("E022", path, fmt::format("`{}` needs several servers", path),
                          site_.servers.empty() ? "there is no [servers]" : "[servers] has one entry");
    }
  }

  void address_is_its_own(size_t index) {
    const std::string path = "servers." + site_.servers[index].name + ".address";
    if (known(path) == nullptr) return;
    const Result<net::Ip> own = net::Ip::parse(site_.servers[index].address);
    for (size_t i = 0; own && i < index; ++i) {
      const Result<net::Ip> other = net::Ip::parse(site_.servers[i].address);
      if (other && *other == *own)
        return report_value("E023", path, fmt::format("`{}` has this address, too", site_.servers[i].name),
                            "each server has an address of its own");
    }
  }

  // Web and application are joined in one process until step 3. Behind a load balancer a
  // server may hold both, or be one itself and nothing else.
  void serves_by_itself(const Server& server) {
    const std::string path = "servers." + server.name + ".roles";
    if (!complete_ || known(path) == nullptr) return;
    const bool web = has_role(server, Role::kWeb);
    const bool app = has_role(server, Role::kApp);
    if (web && (app || !has_run())) return;
    if (!web && !app && has_role(server, Role::kLb)) return;
    report_value("E017", path, fmt::format("a server without `{}` comes with step 3", web ? "app" : "web"),
                 "each of several servers needs `lb`, or `web` and with `app.run` also `app`");
  }

  void server_has_roles() {
    if (site_.servers.size() != 1 || !complete_) return;
    const Server& server = site_.servers[0];
    const std::string path = "servers." + server.name + ".roles";
    if (known(path) == nullptr || server.roles.empty()) return;
    const auto needs = [&](Role role, const char* word, const char* reason) {
      if (std::ranges::find(server.roles, role) != server.roles.end()) return;
      report_value("E022", path, fmt::format("no server has the role `{}`", word), reason);
    };
    if (!has_role(site_, Role::kLb)) needs(Role::kWeb, "web", "somebody must answer the visitors");
    if (has_run()) needs(Role::kApp, "app", "`app.run` needs it");
    if (has_run() && site_.db.engine == DbEngine::kSqlite)
      needs(Role::kDb, "db", "`db.engine` = \"sqlite\" needs it");
  }

  struct Place {
    std::string path;
    net::Address address;
  };

  static bool collide(const net::Address& a, const net::Address& b) {
    if (a.family() != b.family() || a.port() != b.port() || a.port() == 0) return false;
    const auto everywhere = [](const net::Address& x) {
      const net::Ip ip = x.peer().ip;
      return ip == *net::Ip::parse("::") || ip == *net::Ip::parse("0.0.0.0");
    };
    return a.peer().ip == b.peer().ip || everywhere(a) || everywhere(b);
  }

  void addresses_are_apart() {
    std::vector<Place> places;
    for (size_t i = 0; i < site_.web.listen.size(); ++i)
      add_place(places, fmt::format("web.listen.{}", i), site_.web.listen[i]);
    add_place(places, "site.admin", site_.site.admin);
    if (site_.servers.size() > 1) {
      add_place(places, "cluster.port", fmt::format("0.0.0.0:{}", site_.cluster.port));
      add_place(places, "cluster.port", fmt::format("0.0.0.0:{}", site_.cluster.port + 1));
    }
    if (site_.servers.size() > 1 && has_role(site_, Role::kLb))
      add_place(places, "lb.port", fmt::format("0.0.0.0:{}", site_.lb.port));
    for (const LbPool& pool : site_.lb_pools) {
      for (size_t i = 0; i < pool.tcp.size(); ++i)
        add_place(places, fmt::format("lb.pools.{}.tcp.{}", pool.name, i), pool.tcp[i]);
    }
    for (size_t i = 0; i < places.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (collide(places[j].address, places[i].address)) return report_collision(places[j], places[i]);
      }
    }
  }

  static void add_place(std::vector<Place>& places, std::string path, const std::string& text) {
    const Result<net::Address> address = net::Address::parse(text);
    if (address) places.push_back({std::move(path), *address});
  }

  void report_collision(const Place& first, const Place& second) {
    const Origin* origin = known(second.path) != nullptr ? known(second.path) : known(first.path);
    const auto key = [](const Place& place) {
      const size_t last = place.path.rfind('.');
      const bool element = place.path.find_first_not_of("0123456789", last + 1) == std::string::npos;
      return element ? place.path.substr(0, last) : place.path;
    };
    report("E023", origin != nullptr ? origin->value : Span{},
           key(first) == key(second)
               ? fmt::format("two of `{}` take the same port", key(first))
               : fmt::format("`{}` and `{}` take the same port", key(second), key(first)),
           "a port can be taken once on an address; 0.0.0.0 and [::] are all addresses");
  }

  static bool redirects(const Named& rule, std::string_view path) {
    const size_t star = rule.name.find('*');
    if (star == std::string::npos) return path == rule.name;
    const std::string_view before = std::string_view(rule.name).substr(0, star);
    const std::string_view after = std::string_view(rule.name).substr(star + 1);
    return path.size() >= before.size() + after.size() && path.starts_with(before) && path.ends_with(after);
  }

  // Follows redirects; whoever comes back to where he was never arrives. A target
  // with a `*` is followed as it is written.
  void redirects_end() {
    const std::vector<Named>& rules = site_.web.redirects;
    for (const Named& start : rules) {
      const Named* at = &start;
      for (size_t steps = 0; steps < rules.size(); ++steps) {
        const std::optional<Redirect> redirect = parse_redirect(at->value);
        const auto next = std::ranges::find_if(
            rules, [&](const Named& rule) { return redirect && redirects(rule, redirect->target); });
        if (next == rules.end()) break;
        at = &*next;
        if (at != &start) continue;
        return report_key("E023", "web.redirects." + start.name, "a redirect leads back to itself",
                          "a visitor would go round for ever");
      }
    }
  }

  void trusted_is_not_everyone() {
    for (size_t i = 0; i < site_.web.trusted.size(); ++i) {
      const auto network = net::Network::parse(site_.web.trusted[i]);
      const Origin* origin = known(fmt::format("web.trusted.{}", i));
      if (!network || origin == nullptr) continue;
      if (network->prefix > 0 && !(network->ip.is_v4() && network->prefix == 96)) continue;
      warn("W001", origin->value, "`web.trusted` believes everyone", "any visitor can claim any address",
           {"fix: name the networks of the proxies in front of this site"});
    }
  }

  void folders_exist() {
    folder_exists("app.folder", site_.app.folder);
    if (!folder_exists("web.files", site_.web.files)) return;
    files_hold_no_secret();
    for (const Named& page : site_.web.errors) {
      const std::string path = "web.errors." + page.name;
      const std::string file = site_.web.files + "/" + page.value;
      if (known(path) == nullptr) continue;
      if (options_.path_kind(file) == PathKind::kFile) {
        if (options_.file_bytes(file) > kErrorPageBytesMax)
          report_value("E021", path, fmt::format("the page for {} is larger than 1 MiB", page.name),
                       shown(path, fmt::format("{} has {} bytes", file, options_.file_bytes(file))));
        continue;
      }
      report_value("E021", path, fmt::format("the page for {} does not exist", page.name),
                   shown(path, "there is no file " + file));
    }
  }

  bool folder_exists(const std::string& path, const std::string& folder) {
    if (known(path) == nullptr || folder.empty()) return false;
    const PathKind kind = options_.path_kind(folder);
    if (kind == PathKind::kFolder) return true;
    report_value(
        "E021", path,
        fmt::format("the folder of `{}` {}", path,
                    kind == PathKind::kMissing ? "does not exist" : "is a file"),
        shown(path, (kind == PathKind::kMissing ? "there is no folder " : "this is no folder: ") + folder));
    return false;
  }

  std::string shown(const std::string& path, std::string text) const {
    return origins_.find(path)->hidden ? "the value came through `${…}` and is not shown" : std::move(text);
  }

  // Files are served to everyone; the site file of an application names secrets, and so
  // may its program. Without one the web server leaves out the site file (file_server.cc).
  void files_hold_no_secret() {
    const std::vector<std::string> fix{"fix: move the files into a folder of their own, such as \"public\""};
    if (!has_run()) return;
    if (holds(site_.web.files, site_.path))
      report_value("E024", "web.files", "`web.files` holds the site file itself",
                   "it would be served to everyone", fix);
    else if (holds(site_.web.files, site_.app.folder))
      report_value("E024", "web.files", "`web.files` holds the folder of the application",
                   "its program would be served to everyone", fix);
  }

  static bool holds(const std::string& folder, const std::string& path) {
    const std::filesystem::path outer(folder);
    const std::filesystem::path inner(path);
    return std::ranges::mismatch(outer, inner).in1 == outer.end();
  }

  const Site& site_;
  const config::Origins& origins_;
  const LoadOptions& options_;
  bool complete_;
};

}  // namespace

void check_rules(const Site& site, const config::Origins& origins, const LoadOptions& options,
                 config::Diagnostics& diagnostics) {
  Rules(site, origins, options, diagnostics).check();
  Findings findings(origins, diagnostics);
  check_lb_rules(site, findings);
}

}  // namespace terrace::topology

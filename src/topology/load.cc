#include "topology/load.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "config/document.h"
#include "config/reader.h"
#include "config/unparsed.h"
#include "topology/fields.h"
#include "topology/rules.h"

namespace terrace::topology {
namespace {

using config::Diagnostics;
using config::Origins;
using config::Source;

std::string absolute(const std::string& path) {
  std::error_code ignored;
  const std::filesystem::path whole = std::filesystem::absolute(path, ignored);
  return (ignored ? std::filesystem::path(path) : whole).lexically_normal().string();
}

// Below `folder` unless it is absolute already; without a slash at its end.
std::string below(const std::string& folder, const std::string& path) {
  std::string whole = (std::filesystem::path(folder) / path).lexically_normal().string();
  while (whole.size() > 1 && whole.ends_with('/')) whole.pop_back();
  return whole;
}

std::string root_of(const Site& site, const std::string& root) {
  return root.empty() ? std::filesystem::path(site.path).parent_path().string() : root;
}

// What a pool does not say is as [lb] says.
void fill_pool(LbPool& pool, const PoolSettings& general, const Origins& origins) {
  const auto set = [&](const char* key) {
    return origins.find("lb.pools." + pool.name + "." + key) != nullptr;
  };
  PoolSettings& own = pool.settings;
  // What a pool of connections has no header and no cookie for goes round.
  const bool has_hash = pool.tcp.empty() || general.balance != Balance::kConsistentHash;
  if (!set("balance") && has_hash) own.balance = general.balance;
  if (!set("hash") && own.balance == Balance::kConsistentHash) own.hash = general.hash;
  if (!set("mode")) own.mode = general.mode;
  if (!set("return")) own.returns = general.returns;
  if (!set("check")) own.check = pool.tcp.empty() ? general.check : "tcp";
  if (!set("check_status")) own.check_status = general.check_status;
}

void fill_lb(Site& site, const Origins& origins, bool set_run) {
  constexpr std::chrono::seconds kLater{5};  // so that the web server's own answer comes first
  constexpr std::chrono::hours kLongest{1};  // that the key itself may say
  if (!has_role(site, Role::kLb)) return;
  if (origins.find("lb.check") == nullptr) site.lb.pool.check = set_run ? site.app.health : "/";
  const bool limited = origins.find("lb.total_timeout") != nullptr;
  if (origins.find("lb.try_timeout") == nullptr) {
    site.lb.try_timeout = std::min<std::chrono::milliseconds>(site.app.response_timeout + kLater, kLongest);
    if (limited) site.lb.try_timeout = std::min(site.lb.try_timeout, site.lb.total_timeout);
  }
  if (!limited) site.lb.total_timeout = std::max(site.lb.total_timeout, site.lb.try_timeout);
  for (LbPool& pool : site.lb_pools) fill_pool(pool, site.lb.pool, origins);
}

// The defaults that depend on other keys.
void fill(Site& site, const Origins& origins, const std::string& folder) {
  const bool set_run = origins.find("app.run") != nullptr;
  const auto keep = [&](const char* path) {
    const config::Origin* origin = origins.find(path);
    return origin != nullptr && origin->unresolved;
  };
  site.folder_written = site.app.folder;
  site.files_written = site.web.files;
  if (!keep("app.folder")) site.app.folder = below(folder, site.app.folder);
  if (!site.web.files.empty() && !keep("web.files")) site.web.files = below(folder, site.web.files);
  if (origins.find("web.fallback") == nullptr && !set_run) site.web.fallback = Fallback::kNone;
  if (origins.find("db.engine") == nullptr && (!set_run || origins.find("db.url") != nullptr))
    site.db.engine = DbEngine::kNone;
  if (origins.find("db.backup") == nullptr && site.db.engine == DbEngine::kNone) site.db.backup = "off";
  const bool alone = site.servers.empty();
  if (origins.find("web.listen") == nullptr)
    site.web.listen = alone ? std::vector<std::string>{"127.0.0.1:8080", "[::1]:8080"}
                            : std::vector<std::string>{"0.0.0.0:80", "[::]:80"};
  for (Server& server : site.servers) {
    if (!server.roles.empty()) continue;
    server.roles = {Role::kWeb, Role::kApp};
    if (site.db.engine == DbEngine::kSqlite) server.roles.push_back(Role::kDb);
  }
  fill_lb(site, origins, set_run);
}

std::vector<std::string> hidden_keys(const Origins& origins) {
  std::vector<std::string> keys;
  for (const auto& [path, origin] : origins.all()) {
    if (origin.hidden) keys.push_back(path);
  }
  return keys;
}

LoadedSite finish(std::shared_ptr<const Site> site, Diagnostics& diagnostics, const Source& source) {
  diagnostics.sort();
  LoadedSite loaded{.text = render_text(diagnostics, source),
                    .json = render_json(diagnostics, source),
                    .errors = diagnostics.errors(),
                    .warnings = diagnostics.warnings()};
  if (loaded.errors == 0) loaded.site = std::move(site);
  return loaded;
}

LoadedSite refuse(config::Diagnostic diagnostic, Source& source) {
  Site site;
  hide_unparsed(site_tables(site), source, diagnostic);
  Diagnostics diagnostics;
  diagnostics.add(std::move(diagnostic));
  return finish(nullptr, diagnostics, source);
}

std::string reason_of(const Error& error) {
  return error.system != 0 ? ::strerrordesc_np(error.system) : error.text;
}

Result<std::string> read_site_file(const std::string& path) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) return fail_system("stat");
  if (S_ISDIR(about.st_mode)) return fail(Code::kInvalid, "read", "this is a folder");
  return read_file(path, config::kFileBytesMax);
}

}  // namespace

PathKind real_path_kind(const std::string& path) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) return PathKind::kMissing;
  if (S_ISDIR(about.st_mode)) return PathKind::kFolder;
  return S_ISREG(about.st_mode) ? PathKind::kFile : PathKind::kOther;
}

int64_t real_file_bytes(const std::string& path) {
  struct stat about{};
  return ::stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode) ? about.st_size : 0;
}

bool without_secrets(std::string_view table) { return table != "app" && table != "db"; }

LoadedSite load_site(const std::string& path, const LoadOptions& options) {
  Result<std::string> text = read_site_file(path);
  if (text) return load_site_text(*std::move(text), path, options);
  Source source(options.shown_as.empty() ? path : options.shown_as, "");
  LoadedSite loaded = refuse({.code = "E005",
                              .message = "the site file cannot be read",
                              .where = {},
                              .label = reason_of(text.error()),
                              .notes = {}},
                             source);
  loaded.unreadable = true;
  return loaded;
}

LoadedSite load_site_text(std::string text, const std::string& path, const LoadOptions& options) {
  Source source(options.shown_as.empty() ? path : options.shown_as, std::move(text));
  auto document = config::parse_document(source);
  if (!document) return refuse(std::move(document.error()), source);
  auto site = std::make_shared<Site>();
  site->path = absolute(path);
  const std::string folder = std::filesystem::path(site->path).parent_path().string();
  Diagnostics diagnostics;
  const Origins origins = config::read_tables(
      *document, site_tables(*site), {.folder = folder, .inputs = options.inputs, .resolve = options.resolve},
      source, diagnostics);
  fill(*site, origins, root_of(*site, options.root));
  site->hidden = hidden_keys(origins);
  check_rules(*site, origins, options, diagnostics);
  return finish(std::move(site), diagnostics, source);
}

std::vector<KeptFolder> kept_folders(const Site& site) {
  const size_t releases = site.app.folder.rfind("/releases/");
  std::vector<KeptFolder> kept;
  if (site.web.files.empty() || releases == std::string::npos) return kept;
  for (const std::string& path : site.app.writable) {
    const std::string whole = below(site.app.folder, path);
    if (!whole.starts_with(site.web.files + "/")) continue;
    kept.push_back({.at = whole.substr(site.web.files.size()),
                    .folder = site.app.folder.substr(0, releases) + "/writable",
                    .path = path});
  }
  return kept;
}

Site at_root(const Site& site, const std::string& root) {
  Site moved = site;
  const std::string folder = root_of(site, root);
  moved.app.folder = below(folder, site.folder_written);
  if (!site.files_written.empty()) moved.web.files = below(folder, site.files_written);
  return moved;
}

}  // namespace terrace::topology

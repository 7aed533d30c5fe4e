#include "database/environment.h"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "config/interpolate.h"
#include "database/sqlite.h"
#include "topology/database_url.h"

namespace terrace::database {
namespace {

using std::string_view;
using topology::DatabaseUrl;

// What the schemes of a database are called elsewhere.
struct Dialect {
  string_view kind;
  string_view rails;       // the adapter's name
  string_view sqlalchemy;  // dialect and driver
};
constexpr std::array<Dialect, 6> kDialects{{{"postgres", "postgresql", "postgresql"},
                                            {"postgresql", "postgresql", "postgresql"},
                                            {"mysql", "mysql2", "mysql+mysqldb"},
                                            {"mysql2", "mysql2", "mysql+mysqldb"},
                                            {"mariadb", "mysql2", "mysql+mysqldb"},
                                            {"trilogy", "trilogy", "mysql+mysqldb"}}};

const Dialect* dialect_of(const DatabaseUrl& url) {
  for (const Dialect& dialect : kDialects) {
    if (dialect.kind == url.kind()) return &dialect;
  }
  return nullptr;
}

std::string with_query(std::string text, const DatabaseUrl& url) {
  return url.query.empty() ? text : text + "?" + url.query;
}

// Readers of this form differ in what they decode of a path: so only what would end
// it is encoded, and `%`.
std::string plain_file(const DatabaseUrl& url) {
  std::string path;
  for (const char c : url.name) {
    if (c == '%' || c == '?' || c == '#')
      path += config::percent_encode({&c, 1});
    else
      path += c;
  }
  return with_query("sqlite:///" + path, url);
}

// Rails' ConnectionUrlResolver: a path behind the scheme, all of it decoded.
std::string rails_url(const DatabaseUrl& url) {
  if (url.is_sqlite()) return with_query("sqlite3:" + config::percent_encode(url.name, "/"), url);
  const Dialect* dialect = dialect_of(url);
  return to_text(url, dialect != nullptr ? dialect->rails : url.kind());
}

// SQLAlchemy's make_url: the path is taken as it is. A driver that is named stays.
std::string sqlalchemy_url(const DatabaseUrl& url) {
  if (url.is_sqlite()) return with_query("sqlite:///" + url.name, url);
  const Dialect* dialect = dialect_of(url);
  const bool named = url.kind() != url.scheme;
  return to_text(url, dialect != nullptr && !named ? dialect->sqlalchemy : string_view(url.scheme));
}

std::string encoded_part(const DatabaseUrl& url, string_view name) {
  const std::string value = value_of(url, name);
  if (name == "host" && value.find(':') != std::string::npos) return "[" + value + "]";
  return config::percent_encode(value, name == "path" ? "/" : "");
}

std::string from_template(string_view pattern, const DatabaseUrl& url) {
  std::string out;
  while (!pattern.empty()) {
    const size_t open = std::min(pattern.find('{'), pattern.size());
    out += pattern.substr(0, open);
    pattern.remove_prefix(open);
    const size_t close = pattern.find('}');
    if (close == string_view::npos) break;
    out += encoded_part(url, pattern.substr(1, close - 1));
    pattern.remove_prefix(close + 1);
  }
  return out;
}

std::string url_text(const topology::Site& site, const DatabaseUrl& url) {
  const std::string& style = site.app.database_url;
  if (style == "rails") return rails_url(url);
  if (style == "sqlalchemy") return sqlalchemy_url(url);
  if (style != "plain") return from_template(style, url);
  return site.db.url.empty() ? plain_file(url) : site.db.url;
}

std::optional<DatabaseUrl> database_of(const topology::Site& site, string_view folder) {
  if (!site.db.url.empty()) {
    auto url = topology::parse_database_url(site.db.url);
    return url ? std::optional(*std::move(url)) : std::nullopt;
  }
  if (site.db.engine == topology::DbEngine::kNone) return std::nullopt;
  return DatabaseUrl{.scheme = "sqlite", .name = sqlite_path(folder, site.site.name)};
}

}  // namespace

DatabaseEnvironment environment_of(const topology::Site& site, string_view folder) {
  const std::optional<DatabaseUrl> url = database_of(site, folder);
  if (!url) return {};
  DatabaseEnvironment environment;
  environment.variables.push_back({"DATABASE_URL", url_text(site, *url)});
  constexpr std::array<std::array<const char*, 2>, 5> kParts{{{"DB_HOST", "host"},
                                                              {"DB_PORT", "port"},
                                                              {"DB_NAME", "name"},
                                                              {"DB_USER", "user"},
                                                              {"DB_PATH", "path"}}};
  for (const auto& [variable, part] : kParts) {
    std::string value = value_of(*url, part);
    if (!value.empty()) environment.variables.push_back({variable, std::move(value)});
  }
  environment.password = url->password;
  return environment;
}

}  // namespace terrace::database

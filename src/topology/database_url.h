#pragma once

// The URL of a database that Terrace does not run: `[db] url`.
//
//   scheme://user:password@host:port/name?query
//
// RFC 3986, read strictly, since what one reader takes for the password another may
// take for the host: whatever is special in a URL stands as %XX in user, password and
// name. At most one host; no fragment. What follows `?` is for the library that reads
// it and is passed on as it is. The URL of a SQLite file has no host and an absolute
// path: sqlite:////srv/shop/shop.db.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace terrace::topology {

constexpr size_t kDatabaseUrlBytesMax = 4096;
// Of user, password, host and name each, decoded.
constexpr size_t kDatabaseUrlPartBytesMax = 1000;

struct DatabaseUrl {
  std::string scheme;  // lower case, "postgres", "mysql+mysqldb"
  std::string user;    // all of these decoded; empty: none is given
  std::string password;
  std::string host;   // of IPv6 without brackets
  uint16_t port = 0;  // 0: none is given
  std::string name;   // of the database; of SQLite the absolute path
  std::string query;  // as written, without `?`
  bool operator==(const DatabaseUrl&) const = default;

  // "mysql" of "mysql+mysqldb".
  std::string_view kind() const;
  bool is_sqlite() const;
  // The port that is given, else the usual one of the kind; 0: nobody knows.
  uint16_t port_or_usual() const;
};

// The error is a text for a person and holds nothing of the URL.
std::expected<DatabaseUrl, std::string_view> parse_database_url(std::string_view text);

// The same URL with another scheme, every part percent-encoded.
std::string to_text(const DatabaseUrl& url, std::string_view scheme);

// What a template of `[app] database_url` gets for "host", "port", "name", "user",
// "password" or "path", decoded; empty when the URL does not have it.
std::string value_of(const DatabaseUrl& url, std::string_view placeholder);

}  // namespace terrace::topology

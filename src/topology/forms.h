#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "config/field.h"

namespace terrace::topology {

// The forms that strings of the site file must have, each checked when the file
// is read, so that the components need not look again.

config::Form site_name();      // letters, digits, `-`, `_`: part of file names and metrics
config::Form server_name();    // the same
config::Form domain_name();    // RFC 1123 section 2.1, lower case, no trailing dot
config::Form command();        // one line that `sh -c` gets
config::Form path();           // of a folder; absolute, or relative to the site file
config::Form user_name();      // useradd(8), and never root
config::Form variable();       // of an environment: [A-Za-z_][A-Za-z0-9_]*
config::Form variable_text();  // anything that execve(2) can pass on
config::Form url_path();       // begins with `/`, as in a request (RFC 3986 section 3.3)
config::Form url_pattern();    // a path in which `*` stands for anything
config::Form redirected();     // a pattern with one `*` at most
config::Form redirect();       // a path or an http(s) URL, behind a status or alone
config::Form listen();         // "127.0.0.1:8080", "[::1]:8080"
config::Form loopback();       // the same, of loopback
config::Form address();        // of a server: an IP address that can be its own
config::Form network();        // CIDR, no bits set beyond the prefix
config::Form header_name();    // RFC 9110 section 5.1; not one that Terrace itself writes
config::Form header_value();   // RFC 9110 section 5.5
config::Form file_name();      // in any folder: no `/`, not hidden
config::Form file_path();      // below a folder: no `..`, not hidden
config::Form error_status();   // "400" to "599"
config::Form database_url();   // scheme://…
config::Form url_style();      // "plain", "rails", "sqlalchemy", a template with {host}, {port}, …
config::Form package_name();   // Debian Policy section 5.6.1
config::Form writable_path();  // below a folder, never the folder itself; as it will be compared
config::Form backup_time();    // "off", "hourly", "daily", "03:30"
config::Form host_pattern();   // a DNS name, perhaps with `*` for its first part
config::Form backend();        // "10.0.0.41:8080": where a connection can be made
config::Form hash_source();    // "header:NAME" or "cookie:NAME"
config::Form check_target();   // a path, or "tcp"
config::Form status_range();   // "200" or "200-399"
config::Form page();           // HTML, of 64 KiB at most

// The names that a template of `DATABASE_URL` may hold between braces, in its order;
// nothing when a brace of it stands for something else.
std::optional<std::vector<std::string_view>> placeholders(std::string_view url_template);

// "03:30" as the time since midnight.
std::optional<std::chrono::minutes> parse_time_of_day(std::string_view text);

// "200-399", both included, or one status as both.
struct StatusRange {
  int first = 200;
  int last = 399;
};
std::optional<StatusRange> parse_status_range(std::string_view text);

// "header:X-User", "cookie:session".
struct HashSource {
  bool cookie = false;
  std::string_view name;
};
std::optional<HashSource> parse_hash_source(std::string_view text);

// The value of a redirect: "/new" or "301 /new".
struct Redirect {
  int status = 308;
  std::string_view target;
};
// Nothing when the status is not one of 301, 302, 303, 307, 308.
std::optional<Redirect> parse_redirect(std::string_view value);

}  // namespace terrace::topology

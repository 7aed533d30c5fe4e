#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "topology/site.h"

namespace terrace::web {

// "/assets/*", "*.js", "/index.html": `*` stands for any bytes, slashes too; a
// pattern fits a whole path or not at all.
bool pattern_fits(std::string_view pattern, std::string_view path);

// The value of the first pattern, in the order of the file, that fits; "" when none does.
std::string_view first_fitting(const std::vector<topology::Named>& patterns, std::string_view path);

// A redirect that a request gets: where to, and with which status.
struct Redirect {
  int status = 308;
  std::string target;  // a path beginning with a single slash, or an absolute URL
};

// [web] redirects: path to path or URL.
//
//   "/old"    = "/new"                     exactly this path
//   "/blog/*" = "https://blog.example/*"   everything beneath; what `*` took goes where the target has its
//   own
//   "/gone"   = "301 /new"                 another status than 308: 301, 302, 303 or 307
//
// Rules that lead to each other are followed here, so that the client gets one redirect.
class Redirects {
 public:
  // kInvalid: a status that is no redirect, a target that is neither a path nor an http URL.
  static Result<Redirects> create(const std::vector<topology::Named>& rules);

  bool match(std::string_view path) const { return rule_for(path) != nullptr; }
  // `path` as normalised, `query` without its `?`: it is kept unless the target has one.
  std::optional<Redirect> find(std::string_view path, std::string_view query) const;

 private:
  struct Rule {
    std::string before;  // the whole path when there is no `*`
    std::string after;
    bool star = false;
    int status = 308;
    std::string to_before;
    std::string to_after;
    bool to_star = false;

    bool matches(std::string_view path) const;
    std::string target(std::string_view path) const;
  };
  static Result<Rule> parse(const topology::Named& named);
  const Rule* rule_for(std::string_view path) const;

  std::vector<Rule> rules_;
};

// A path as it goes into a Location: everything but unreserved bytes, slashes and
// the harmless delimiters in percent form, and never two slashes in front, which
// would name another host (RFC 3986 sections 3.3 and 4.2).
std::string encode_path(std::string_view path);

}  // namespace terrace::web

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "topology/site.h"

namespace terrace::web {

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
// Several stars in a pattern count as one that took all between the first and the
// last. Rules that lead to each other are followed here, so that the client gets one
// redirect; a rule does not apply to what has the form of its own target.
class Redirects {
 public:
  // kInvalid: a status that is no redirect, a target that is neither a path nor an http URL.
  static Result<Redirects> create(const std::vector<topology::Named>& rules);

  bool match(std::string_view path) const { return rule_for(path) != nullptr; }
  // `path` as normalised, `query` without its `?`: it is kept unless the target has one.
  std::optional<Redirect> find(std::string_view path, std::string_view query) const;

 private:
  struct Rule {
    std::string pattern;
    size_t before = 0;  // bytes of the pattern in front of its first `*`
    size_t after = 0;   // and behind its last
    int status = 308;
    std::string target;
    size_t target_star = std::string::npos;  // where the target has a `*` to fill

    bool applies(std::string_view path) const;
    std::string fill(std::string_view path) const;
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

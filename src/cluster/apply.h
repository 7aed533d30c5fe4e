#pragma once

// `terrace apply`, as decisions only: what the servers have said about a version of the
// site file, and whether it may be recorded. Recorded once by compare-and-swap; every
// server that is or comes back takes it from there (follow.h).

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster/shared.h"
#include "cluster/state.h"

namespace terrace::cluster {

// What one server has said when it was asked to check a version.
struct CheckedBy {
  enum class Kind : uint8_t {
    kAgrees,
    kObjects,
    kSilent,     // down, or it did not answer in time: it takes the version when it is back
    kNotJoined,  // named, and not one of the site yet
  };
  std::string server;
  Kind kind = Kind::kSilent;
  std::string text;                  // of an objection, or why it was silent
  std::vector<std::string> changed;  // how it differs from what that server has
};

struct ApplyVerdict {
  bool may = false;
  std::string why;  // it may not, for people: every objection, with its server
  // The same on all servers, but for what the environment of each puts into it.
  std::vector<std::string> changed;
};

// `checked`: all servers that the new version names.
ApplyVerdict judge(const std::vector<CheckedBy>& checked);

// The commit that records `next`, when `now` holds and no deploy is under way.
// `now`: the entry under kSiteKey, none before the first.
Commit record_of(const std::optional<Entry>& now, const SiteVersion& next);

// Says to the one who came second who was first: "anna applied version 13 on web2
// meanwhile".
std::string beaten_text(const SiteVersion& winner);

}  // namespace terrace::cluster

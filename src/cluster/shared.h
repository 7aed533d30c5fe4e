#pragma once

// What the servers of a site share under fixed keys (state.h), as values: which version of
// the site file holds, which release serves, which deploy is under way. Each is one JSON
// object. Readers ignore members that they do not know: while a site is upgraded, servers
// of two versions write them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace terrace::cluster {

inline constexpr std::string_view kSiteKey = "site";
inline constexpr std::string_view kReleaseKey = "release";
inline constexpr std::string_view kDeployKey = "deploy";
// "history/12": as it stood under "site" then.
std::string history_key(int64_t version);
// "drains/web1": there is one while that server shall take no visitors.
std::string drain_key(std::string_view server);

// Of the text of a site file that several servers share: kHistoryKept of them and the other
// entries stay within kStateBytesMax.
constexpr size_t kSharedSiteBytesMax = 256 << 10;
constexpr int64_t kHistoryKept = 20;
// Lines of what changed, kept for `terrace history`.
constexpr size_t kChangedLinesMax = 100;

struct SiteVersion {
  int64_t version = 0;
  std::string text;
  std::string by;      // who applied it, for people: "anna@192.0.2.7"
  std::string server;  // where; empty: it was there when the site was founded
  int64_t at = 0;      // seconds since 1970, on that server's clock
  std::string id;      // drawn for this apply: who is not told the outcome knows its own by it
  std::vector<std::string> changed;
  bool operator==(const SiteVersion&) const = default;
};

struct SharedRelease {
  uint32_t last = 0;                 // the highest number ever given
  std::vector<uint32_t> served;      // those that served, in order; the last one serves now
  std::vector<std::string> holders;  // servers that had the current one when it began to serve
  // 0: none was ever deployed.
  uint32_t current() const { return served.empty() ? 0 : served.back(); }
  // What a rollback goes to; 0: there is none.
  uint32_t previous() const { return served.size() < 2 ? 0 : served[served.size() - 2]; }
  // A deploy makes a new one serve, a rollback the one before.
  void serve(uint32_t number);
  bool operator==(const SharedRelease&) const = default;
};
constexpr size_t kServedKept = 10;

// The deploy or rollback that is under way, and a lock against a second one. Its server
// writes it anew every kDeployBeat; who sees it unchanged for kDeployPatience removes it,
// and what `release` says then holds everywhere.
struct DeployNote {
  uint32_t release = 0;
  bool rollback = false;
  std::string phase;
  std::string by;
  std::string server;  // that leads it
  int64_t since = 0;   // seconds since 1970
  std::string id;      // drawn for this deploy
  int64_t beat = 0;
  bool operator==(const DeployNote&) const = default;
};

std::string to_json(const SiteVersion& version);
std::string to_json(const SharedRelease& release);
std::string to_json(const DeployNote& deploy);
// kInvalid when something is missing, of another type or beyond its limit.
Result<SiteVersion> parse_site_version(std::string_view text);
Result<SharedRelease> parse_shared_release(std::string_view text);
Result<DeployNote> parse_deploy_note(std::string_view text);

}  // namespace terrace::cluster

#include "cluster/apply.h"

#include <fmt/format.h>

namespace terrace::cluster {

ApplyVerdict judge(const std::vector<CheckedBy>& checked) {
  using Kind = CheckedBy::Kind;
  ApplyVerdict verdict;
  bool agrees = false;
  for (const CheckedBy& each : checked) {
    if (each.kind == Kind::kObjects) verdict.why += fmt::format("{} objects:\n{}\n", each.server, each.text);
    if (each.kind != Kind::kAgrees) continue;
    agrees = true;
    if (verdict.changed.empty()) verdict.changed = each.changed;
  }
  if (verdict.why.empty() && !agrees)
    verdict.why =
        "none of the servers in the file has joined and answers: there would be nobody left to serve\n";
  verdict.may = verdict.why.empty();
  return verdict;
}

Commit record_of(const std::optional<Entry>& now, const SiteVersion& next) {
  const std::string text = to_json(next);
  Commit commit;
  commit.conditions = {{std::string(kSiteKey), now ? now->version : 0}, {std::string(kDeployKey), 0}};
  commit.writes = {{std::string(kSiteKey), text}, {history_key(next.version), text}};
  // The version that the site was founded with stands under no key of the history yet.
  if (now && next.version == 2) commit.writes.push_back({history_key(1), now->value});
  if (next.version > kHistoryKept)
    commit.writes.push_back({history_key(next.version - kHistoryKept), std::nullopt});
  return commit;
}

std::string beaten_text(const SiteVersion& winner) {
  return fmt::format(
      "{} applied version {} on {} meanwhile; nothing is changed: look at `terrace history` and try again",
      winner.by.empty() ? "somebody" : winner.by, winner.version,
      winner.server.empty() ? "another server" : winner.server);
}

}  // namespace terrace::cluster

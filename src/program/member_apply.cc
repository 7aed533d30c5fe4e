// The member's part about `terrace apply` and `terrace history`: a version of the site file
// is checked on every server that answers, recorded once, and taken by each of them.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "cluster/apply.h"
#include "program/control.h"
#include "program/json_value.h"
#include "program/member.h"
#include "program/upload.h"

namespace terrace::program {
namespace {

using cluster::CheckedBy;
using cluster::Outcome;
using cluster::SiteVersion;
using Json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kCheckTimeout{20};
constexpr seconds kRecordTimeout{10};
// How long whoever applies waits to see the servers take it. They do anyway.
constexpr seconds kTakenTimeout{20};
constexpr milliseconds kLook{200};
constexpr int kIdBytes = 8;
// All kept versions are one answer.
constexpr size_t kLineBytesMax = 300;

std::string line_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

int64_t seconds_of(WallTime time) {
  return std::chrono::duration_cast<seconds>(time.time_since_epoch()).count();
}

CheckedBy checked_by(std::string server, std::string_view answer) {
  const Json json = Json::parse(answer, nullptr, false);
  CheckedBy checked{.server = std::move(server), .kind = CheckedBy::Kind::kAgrees};
  if (json.is_object()) checked.changed = value_of<std::vector<std::string>>(json, "changed");
  return checked;
}

const char* word(CheckedBy::Kind kind) {
  switch (kind) {
    case CheckedBy::Kind::kAgrees:
      return "agrees";
    case CheckedBy::Kind::kObjects:
      return "objects";
    case CheckedBy::Kind::kSilent:
      return "does not answer: it takes the version when it is back";
    case CheckedBy::Kind::kNotJoined:
      return "has not joined yet";
  }
  return "";
}

Json json_of(const SiteVersion& version) {
  return {{"version", version.version},
          {"by", version.by},
          {"server", version.server},
          {"at", version.at},
          {"changed", version.changed}};
}

}  // namespace

// ---- the check

// {"request": "site-check", "name": "new.toml"}, the text as data: as take-site answers.
Task<std::string> Member::answer_site_check(PeerTalk& talk) {
  Result<std::string> text =
      co_await talk.channel.receive_data(cluster::kSharedSiteBytesMax, reactor_.now() + kCheckTimeout);
  if (!text) co_return failure_line("the site file was not received: " + describe(text.error()));
  const Json json = Json::parse(talk.message, nullptr, false);
  SiteOffer offer{.version = 0,
                  .text = *std::move(text),
                  .name = value_of<std::string>(json, "name"),
                  .check_only = true};
  std::string answered = co_await offer_site_here(std::move(offer));
  co_return answered;
}

Task<void> Member::check_on(std::string server, std::string text, std::string name, CheckedBy& checked) {
  Asking asking{.server = server,
                .message = line_of({{"request", "site-check"}, {"name", name}}),
                .data = std::move(text),
                .sends_data = true,
                .deadline = reactor_.now() + kCheckTimeout};
  const Result<Reply> reply = co_await ask_server(std::move(asking));
  if (!reply) {
    checked.text = describe(reply.error());
  } else if (is_good(reply->message)) {
    checked = checked_by(server, reply->message);
  } else {
    checked.kind = CheckedBy::Kind::kObjects;
    checked.text = objection_in(reply->message);
  }
}

// By every server that the text names, at the same time.
Task<std::vector<CheckedBy>> Member::check_everywhere(SiteOffer offer) {
  const topology::LoadedSite loaded = load_for_member(offer.text, offer.name);
  std::vector<CheckedBy> checked;
  if (!loaded.site) {
    checked.push_back({.server = identity_->server, .kind = CheckedBy::Kind::kObjects, .text = loaded.text});
    co_return checked;
  }
  checked.reserve(loaded.site->servers.size());
  for (const topology::Server& server : loaded.site->servers) checked.push_back({.server = server.name});
  Scope asked;
  CheckedBy* own = nullptr;
  for (CheckedBy& each : checked) {
    if (each.server == identity_->server) {
      own = &each;
    } else if (!servers_.contains(each.server)) {
      each.kind = CheckedBy::Kind::kNotJoined;
    } else {
      asked.spawn(check_on(each.server, offer.text, offer.name, each));
    }
  }
  if (own != nullptr) {
    const std::string answered = co_await offer_site_here(std::move(offer));
    if (is_good(answered)) {
      *own = checked_by(identity_->server, answered);
    } else {
      own->kind = CheckedBy::Kind::kObjects;
      own->text = objection_in(answered);
    }
  }
  co_await asked.join();
  co_return checked;
}

// ---- apply

// {"command": "apply", "by": "anna", "name": "new.toml", "check": false, "back": false}, then
// the text in frames unless it goes back.
Task<std::string> Member::answer_apply(std::string line, Conversation& talk) {
  if (!identity_) co_return failure_line(why_not_);
  const Json request = Json::parse(line, nullptr, false);
  SiteVersion next{.by = value_of<std::string>(request, "by"),
                   .server = identity_->server,
                   .at = seconds_of(wall()),
                   .id = random_secret(kIdBytes)};
  std::string problem = co_await take_text_to_apply(value_of<bool>(request, "back"), next, talk);
  if (!problem.empty()) co_return failure_line(problem);
  const Result<std::optional<cluster::Entry>> now =
      co_await state_->get(std::string(cluster::kSiteKey), reactor_.now() + kRecordTimeout);
  if (!now) co_return failure_line("what the servers share cannot be reached: " + describe(now.error()));
  const Result<SiteVersion> before =
      *now ? cluster::parse_site_version((*now)->value) : Result<SiteVersion>(fail(Code::kNotFound, "site"));
  if (before && before->text == next.text)
    co_return line_of(
        {{"ok", true}, {"version", before->version}, {"changed", Json::array()}, {"same", true}});
  next.version = before ? before->version + 1 : 1;
  const bool check_only = value_of<bool>(request, "check");
  const std::string answered = co_await check_and_record(*now, std::move(next), check_only,
                                                         value_of<std::string>(request, "name"), talk);
  co_return answered;
}

Task<std::string> Member::take_text_to_apply(bool back, SiteVersion& next, Conversation& talk) {
  if (!back) {
    Result<std::string> text = co_await receive_text(talk, cluster::kSharedSiteBytesMax, soon());
    if (!text) co_return "the site file was not received: " + describe(text.error());
    next.text = *std::move(text);
    co_return "";
  }
  const Result<cluster::Snapshot> history =
      co_await state_->list("history/", reactor_.now() + kRecordTimeout);
  const Result<std::optional<cluster::Entry>> now =
      co_await state_->get(std::string(cluster::kSiteKey), reactor_.now() + kRecordTimeout);
  if (!history || !now || !*now) co_return "what the servers share cannot be reached";
  const Result<SiteVersion> current = cluster::parse_site_version((*now)->value);
  if (!current) co_return describe(current.error());
  const cluster::Entry* entry = history->find(cluster::history_key(current->version - 1));
  if (entry == nullptr) co_return fmt::format("there is no version before version {}", current->version);
  const Result<SiteVersion> earlier = cluster::parse_site_version(entry->value);
  if (!earlier) co_return describe(earlier.error());
  next.text = earlier->text;
  co_return "";
}

Task<std::string> Member::check_and_record(std::optional<cluster::Entry> now, SiteVersion next,
                                           bool check_only, std::string name, Conversation& talk) {
  SiteOffer offer{.version = 0, .text = next.text, .name = name, .check_only = true};
  const std::vector<CheckedBy> checked = co_await check_everywhere(std::move(offer));
  for (const CheckedBy& each : checked)
    talk.progress("check", fmt::format("{} {}", each.server, word(each.kind)));
  const cluster::ApplyVerdict verdict = cluster::judge(checked);
  if (!verdict.may) {
    Json answer = {{"ok", false}, {"error", "the site file is refused; nothing is changed"}};
    answer["diagnostics"] = Json::array({verdict.why});
    co_return line_of(answer);
  }
  next.changed = verdict.changed;
  if (next.changed.size() > cluster::kChangedLinesMax) next.changed.resize(cluster::kChangedLinesMax);
  for (std::string& each : next.changed) each.resize(std::min(each.size(), kLineBytesMax));
  Json answer = {{"ok", true}, {"changed", next.changed}, {"version", next.version}};
  if (check_only) co_return line_of(answer);
  // What no server could read again would be a site without a file.
  if (!cluster::parse_site_version(to_json(next))) co_return failure_line("this cannot be recorded");
  const std::string problem = co_await record_version(std::move(now), next);
  if (!problem.empty()) co_return failure_line(problem);
  log_.info("a version of the site file is applied", {{"version", next.version}, {"by", next.by}});
  // Who leaves is told nothing by the others any more.
  const topology::LoadedSite site = load_for_member(next.text, std::string(welcome_.site_path.view()));
  const bool leaves = site.site && find_server(*site.site, identity_->server) == nullptr;
  std::vector<std::string> behind;
  if (!leaves) behind = co_await await_taken(checked, next.version, talk);
  answer["behind"] = behind;
  answer["leaves"] = leaves;
  co_return line_of(answer);
}

// Once, whatever becomes of the answer: an unknown outcome is looked at until it is known.
Task<std::string> Member::record_version(std::optional<cluster::Entry> now, SiteVersion next) {
  const Time deadline = reactor_.now() + kRecordTimeout;
  const cluster::Commit commit = cluster::record_of(now, next);
  cluster::Committed committed = co_await state_->commit(commit, deadline);
  if (committed.done()) co_return "";
  if (committed.outcome == Outcome::kUnavailable || committed.outcome == Outcome::kInvalid)
    co_return fmt::format("it was not recorded, nothing is changed: {}", committed.text);
  const Result<std::optional<cluster::Entry>> after =
      co_await state_->get(std::string(cluster::kSiteKey), reactor_.now() + kRecordTimeout);
  if (!after)
    co_return "whether it was recorded is not known: what the servers share cannot be reached; `terrace "
              "history` says so when it can";
  const Result<SiteVersion> there = *after ? cluster::parse_site_version((*after)->value)
                                           : Result<SiteVersion>(fail(Code::kNotFound, "site"));
  if (there && there->id == next.id) co_return "";
  const bool moved = *after && (!now || (*after)->version != now->version);
  if (there && moved) co_return cluster::beaten_text(*there);
  const Result<std::optional<cluster::Entry>> deploy =
      co_await state_->get(std::string(cluster::kDeployKey), reactor_.now() + kRecordTimeout);
  if (deploy && *deploy) co_return "a deploy is under way: apply it when that is done";
  co_return "it was not recorded, nothing is changed: try again";
}

// Which of the servers that agreed have not taken it yet.
Task<std::vector<std::string>> Member::await_taken(std::vector<CheckedBy> checked, int64_t version,
                                                   Conversation& talk) {
  std::vector<std::string> waits;
  for (const CheckedBy& each : checked) {
    if (each.kind == CheckedBy::Kind::kAgrees) waits.push_back(each.server);
  }
  const Time deadline = reactor_.now() + kTakenTimeout;
  while (!waits.empty() && reactor_.now() < deadline) {
    std::vector<std::string> left;
    for (const std::string& server : waits) {
      const Result<Served> served = co_await served_of(server);
      if (served && served->here.version >= version) {
        talk.progress("take", fmt::format("{} runs version {}", server, version));
      } else {
        left.push_back(server);
      }
    }
    waits = std::move(left);
    if (!waits.empty()) co_await sleep(reactor_, kLook);
  }
  co_return waits;
}

Task<Result<Member::Served>> Member::served_of(std::string server) {
  if (server == identity_->server) {
    Result<Served> own = co_await served_here();
    co_return own;
  }
  Asking asking{.server = server, .message = R"({"request":"served"})", .deadline = soon()};
  const Result<Reply> reply = co_await ask_server(std::move(asking));
  if (!reply) co_return std::unexpected(reply.error());
  co_return parse_served(reply->message);
}

// ---- history

// {"command": "history"}: {"ok": true, "current": 12, "versions": [{…}]}, the newest first.
Task<std::string> Member::answer_history(std::string, Conversation&) {
  if (!identity_) co_return failure_line(why_not_);
  Result<cluster::Snapshot> all = co_await state_->list("", soon());
  const bool fresh = all.has_value();
  if (!fresh) all = state_->copy().entries().list("");
  const cluster::Entry* now = all->find(cluster::kSiteKey);
  const Result<SiteVersion> current = now != nullptr ? cluster::parse_site_version(now->value)
                                                     : Result<SiteVersion>(fail(Code::kNotFound, "site"));
  std::vector<SiteVersion> versions;
  for (const cluster::Entry& entry : all->entries) {
    if (!entry.key.starts_with("history/")) continue;
    if (Result<SiteVersion> version = cluster::parse_site_version(entry.value))
      versions.push_back(*std::move(version));
  }
  // The first one stands under no key of the history.
  const bool known = std::ranges::any_of(
      versions, [&](const SiteVersion& each) { return current && each.version == current->version; });
  if (current && !known) versions.push_back(*current);
  std::ranges::sort(versions, std::ranges::greater(), &SiteVersion::version);
  Json list = Json::array();
  for (const SiteVersion& each : versions) list.push_back(json_of(each));
  co_return line_of(
      {{"ok", true}, {"current", current ? current->version : 0}, {"versions", list}, {"fresh", fresh}});
}

}  // namespace terrace::program

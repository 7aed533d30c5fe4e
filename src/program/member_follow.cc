// The member's part about keeping up: this server becomes what the shared state says that
// it shall be, one step after the other (cluster/follow.h). All of them do so by
// themselves; commands about the whole site only change the shared state.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "program/control.h"
#include "program/control_call.h"
#include "program/json_value.h"
#include "program/member.h"
#include "program/site_deploy.h"
#include "program/upload.h"

namespace terrace::program {
namespace {

using cluster::FollowStep;
using Json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kLook{500};
constexpr seconds kAnswerTimeout{3};
// Of what takes visitors away from nobody: an instance of the application may start slowly.
constexpr std::chrono::minutes kStepTimeout{30};
constexpr seconds kTakeTimeout{60};
constexpr seconds kDrainSeconds{30};
// After a step that did not work.
constexpr seconds kPauseAfterFailure{2};

std::string line_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

template <class Value>
std::optional<Value> parsed(const cluster::Entries& entries, std::string_view key,
                            Result<Value> (*parse)(std::string_view)) {
  const cluster::Entry* entry = entries.find(key);
  if (entry == nullptr) return std::nullopt;
  Result<Value> value = parse(entry->value);
  if (!value) return std::nullopt;
  return *std::move(value);
}

const char* word(FollowStep step) {
  switch (step) {
    case FollowStep::kNothing:
      return "";
    case FollowStep::kDrain:
      return "drain";
    case FollowStep::kTakeSite:
      return "take the site file";
    case FollowStep::kFetchRelease:
      return "fetch the release that serves";
    case FollowStep::kSwitchRelease:
      return "switch to the release that serves";
    case FollowStep::kUndrain:
      return "take visitors again";
  }
  return "";
}

}  // namespace

// ---- what is shared, as this server knows it

std::optional<cluster::SiteVersion> Member::shared_site() const {
  return parsed(state_->copy().entries(), cluster::kSiteKey, cluster::parse_site_version);
}

std::optional<cluster::SharedRelease> Member::shared_release() const {
  return parsed(state_->copy().entries(), cluster::kReleaseKey, cluster::parse_shared_release);
}

std::optional<cluster::DeployNote> Member::shared_deploy() const {
  return parsed(state_->copy().entries(), cluster::kDeployKey, cluster::parse_deploy_note);
}

cluster::Wanted Member::wanted_here() const {
  cluster::Wanted wanted;
  if (const std::optional<cluster::SiteVersion> site = shared_site()) {
    wanted.version = site->version;
    const topology::LoadedSite loaded = load_for_member(site->text, std::string(welcome_.site_path.view()));
    wanted.of_site = !loaded.site || find_server(*loaded.site, identity_->server) != nullptr;
  }
  const topology::Server* own = own_entry();
  const std::optional<cluster::SharedRelease> release = shared_release();
  if (release && (own == nullptr || runs_releases(*own))) {
    wanted.has_release = true;
    wanted.release = release->current();
  }
  if (const std::optional<cluster::DeployNote> deploy = shared_deploy()) wanted.trial = deploy->release;
  wanted.drained = state_->copy().entries().find(cluster::drain_key(identity_->server)) != nullptr;
  return wanted;
}

// {"command": "newest"}, then the site file on disk in frames: what the controller asks
// before its first site. A server that has just joined knows the others from that file.
Task<std::string> Member::answer_newest(std::string, Conversation& talk) {
  const Result<std::string> text = co_await receive_text(talk, cluster::kSharedSiteBytesMax, soon());
  if (text && !site_) (void)use_site(*text);
  if (!identity_ || !state_ || !state_->copy().heard())
    co_return failure_line("the other servers were not heard yet");
  const cluster::Wanted wanted = wanted_here();
  const std::optional<cluster::SiteVersion> site = shared_site();
  Json answer = {{"ok", true}, {"version", wanted.version}, {"drained", wanted.drained || !wanted.of_site}};
  // The file of a site that this server is no part of any more is not its own.
  if (!wanted.of_site) answer["version"] = 0;
  if (site && wanted.of_site) answer["text"] = site->text;
  if (wanted.has_release) answer["release"] = wanted.release;
  co_return line_of(answer);
}

// ---- what stands here

Task<Result<Member::Served>> Member::served_here() {
  const Result<std::string> said =
      co_await ask_controller(reactor_, control_socket(folders_), R"({"command":"served"})", nullptr,
                              reactor_.now() + kAnswerTimeout);
  if (!said) co_return std::unexpected(said.error());
  Result<Served> served = parse_served(*said);
  co_return served;
}

Result<Member::Served> Member::parse_served(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !value_of<bool>(json, "ok")) return fail(Code::kInvalid, "served");
  Served served;
  served.started = value_of<bool>(json, "started");
  served.previous = value_of<uint32_t>(json, "previous");
  served.last = value_of<uint32_t>(json, "last");
  served.here = {.version = value_of<int64_t>(json, "applied"),
                 .release = value_of<uint32_t>(json, "release"),
                 .ready = value_of<std::vector<uint32_t>>(json, "ready"),
                 .drained = value_of<bool>(json, "drained"),
                 .busy = value_of<bool>(json, "busy")};
  return served;
}

// {"request": "served"}
Task<std::string> Member::answer_peer_served(PeerTalk&) {
  const Result<std::string> said =
      co_await ask_controller(reactor_, control_socket(folders_), R"({"command":"served"})", nullptr,
                              reactor_.now() + kAnswerTimeout);
  co_return said ? *said : failure_line("the controller does not answer: " + describe(said.error()));
}

// ---- one step after the other

Task<void> Member::follow_site() {
  const std::unique_ptr<cluster::StateWatch> watch = state_->watch("");
  bool again = false;
  for (;;) {
    // A change is looked at at once, everything now and then.
    if (!again) {
      const Result<cluster::Changes> changed = co_await watch->next(reactor_.now() + kLook);
      if (!changed && changed.error().code != Code::kTimeout) co_await sleep(reactor_, kLook);
    }
    again = false;
    // What was last known may be older than what was done here since.
    if (!state_->copy().heard()) {
      co_await sleep(reactor_, milliseconds(50));
      continue;
    }
    co_await end_dead_deploy();
    const Result<Served> served = co_await served_here();
    if (!served || !served->started) continue;
    if (!shared_release()) co_await share_first_release(*served);
    const cluster::Wanted wanted = wanted_here();
    const FollowStep step = cluster::next_step(wanted, served->here);
    if (step == FollowStep::kNothing) {
      behind_.clear();
      continue;
    }
    const std::string problem = co_await take_step(step, wanted);
    again = problem.empty();
    if (!problem.empty() && std::exchange(behind_, problem) != problem)
      log_.error("this server does not keep up with the site", {{"step", word(step)}, {"why", problem}});
    if (!problem.empty()) co_await sleep(reactor_, kPauseAfterFailure);
  }
}

Task<std::string> Member::take_step(FollowStep step, cluster::Wanted wanted) {
  std::string problem;
  if (step == FollowStep::kTakeSite) {
    const std::optional<cluster::SiteVersion> site = shared_site();
    SiteOffer offer{.version = site->version, .text = site->text};
    const std::string answered = co_await offer_site_here(std::move(offer));
    if (!is_good(answered)) problem = objection_in(answered);
  } else if (step == FollowStep::kFetchRelease) {
    const std::optional<cluster::SharedRelease> release = shared_release();
    std::vector<std::string> from = release ? release->holders : std::vector<std::string>();
    problem = co_await fetch_release(wanted.release, std::move(from));
  } else {
    Json question = {{"command", "switch-release"}, {"release", wanted.release}, {"by", "the site"}};
    if (step == FollowStep::kDrain)
      question = {{"command", "drain"}, {"limit_seconds", kDrainSeconds.count()}};
    if (step == FollowStep::kUndrain) question = {{"command", "undrain"}};
    const Result<std::string> said = co_await ask_controller(
        reactor_, control_socket(folders_), line_of(question), nullptr, reactor_.now() + kStepTimeout);
    problem = !said ? describe(said.error()) : is_good(*said) ? "" : error_in(*said);
  }
  if (problem.empty()) log_.info("this server keeps up with the site", {{"step", word(step)}});
  co_return problem;
}

// What the founder had deployed before it became one of several. A site without a release
// has no entry until its first deploy.
Task<void> Member::share_first_release(Served served) {
  if (!authority_ || served.last == 0) co_return;
  cluster::SharedRelease release{.last = served.last, .served = {}, .holders = {identity_->server}};
  for (const uint32_t number : {served.previous, served.here.release}) {
    if (number != 0) release.serve(number);
  }
  // Refused: another server was first.
  (void)co_await state_->put(std::string(cluster::kReleaseKey), to_json(release), 0, soon());
}

// Whoever led it is gone, or was this process's predecessor: what `release` says holds.
Task<void> Member::end_dead_deploy() {
  const cluster::Entry* entry = state_->copy().entries().find(cluster::kDeployKey);
  pulse_.see(entry != nullptr ? entry->version : 0, reactor_.now());
  if (entry == nullptr) co_return;
  const std::optional<cluster::DeployNote> note = shared_deploy();
  const bool ours = note && note->server == identity_->server;
  const bool left = ours && (!site_deploy_ || site_deploy_->id != note->id) && !beginning_deploy_;
  if (!left && !pulse_.is_dead(reactor_.now())) co_return;
  log_.warning("a deploy did not come to its end; the release before serves",
               {{"led_by", note ? note->server : ""}, {"release", note ? int64_t{note->release} : 0}});
  (void)co_await state_->remove(std::string(cluster::kDeployKey), entry->version, soon());
}

// Whoever drains a server says so to all: it stays drained when it starts again.
Task<std::string> Member::note_drain(std::string server, bool drains) {
  cluster::Commit commit;
  const Json note = {{"at", std::chrono::duration_cast<seconds>(wall().time_since_epoch()).count()}};
  commit.writes = {{cluster::drain_key(server), drains ? std::optional(line_of(note)) : std::nullopt}};
  const cluster::Committed committed = co_await state_->commit(std::move(commit), soon());
  co_return committed.done() ? ""
                             : fmt::format("what the servers share cannot be changed: {}", committed.text);
}

// ---- the site file

// A version of the site file for the controller, as take-site answers it.
Task<std::string> Member::offer_site_here(SiteOffer offer) {
  ControlCall call(reactor_);
  const Time deadline = reactor_.now() + kTakeTimeout;
  const Json question = {{"command", "take-site"},
                         {"version", offer.version},
                         {"name", offer.name},
                         {"check_only", offer.check_only}};
  Result<void> sent = co_await call.ask(control_socket(folders_), line_of(question), deadline);
  std::string frames = offer.text.empty() ? "" : upload_length(offer.text.size()) + offer.text;
  frames += upload_length(0);
  if (sent) sent = co_await call.send(frames);
  if (!sent) co_return failure_line("the controller does not answer: " + describe(sent.error()));
  Result<std::string> said = co_await call.line(deadline);
  co_return said ? *said : failure_line("the controller does not answer: " + describe(said.error()));
}

// All that it says against a site file, or its error.
std::string Member::objection_in(std::string_view answer) {
  const Json json = Json::parse(answer, nullptr, false);
  std::string all;
  if (json.is_object()) {
    for (const std::string& each : value_of<std::vector<std::string>>(json, "diagnostics")) all += each;
  }
  return all.empty() ? error_in(answer) : all;
}

// ---- releases of other servers

// Any server may have it; the holders had it when it began to serve.
Task<std::string> Member::fetch_release(uint32_t number, std::vector<std::string> from) {
  for (std::string& other : other_servers()) {
    if (std::ranges::find(from, other) == from.end()) from.push_back(std::move(other));
  }
  std::string problem = fmt::format("no server has release {}", number);
  for (const std::string& server : from) {
    if (server == identity_->server) continue;
    std::string came = co_await fetch_release_from(server, number);
    if (came.empty()) co_return "";
    problem = fmt::format("release {} from {}: {}", number, server, came);
  }
  co_return problem;
}

Task<std::string> Member::fetch_release_from(std::string server, uint32_t number) {
  const std::shared_ptr<const topology::Site> site = site_;
  const topology::Server* entry = find_server(*site, server);
  if (entry == nullptr) co_return "the site file does not name it";
  const Result<net::Address> address = net::Address::parse(channel_address(*site, *entry));
  if (!address) co_return describe(address.error());
  cluster::Call call(reactor_);
  const auto open = calls_.insert(calls_.end(), {server, &call});
  std::string problem;
  Result<void> done = co_await call.open(credentials_, server, *address, soon());
  if (done) {
    std::string request = line_of({{"request", "release-pack"}, {"release", number}});
    done = co_await call.channel().send_message(std::move(request));
  }
  if (done) {
    problem = co_await stage_from(call.channel(), number);
  } else {
    problem = describe(done.error());
  }
  calls_.erase(open);
  co_return problem;
}

// What comes on the channel goes to the controller, frame by frame.
Task<std::string> Member::stage_from(cluster::Channel& channel, uint32_t number) {
  const Result<std::string> offered =
      co_await channel.receive_message(reactor_.now() + cluster::kProgressTimeout);
  if (!offered) co_return describe(offered.error());
  const Json json = Json::parse(*offered, nullptr, false);
  if (!json.is_object() || !value_of<bool>(json, "ready")) co_return error_in(*offered);
  ControlCall stage(reactor_);
  const Json question = {{"command", "stage-release"}, {"release", number}, {"by", "the site"}};
  Result<void> sent = co_await stage.ask(control_socket(folders_), line_of(question), soon());
  if (!sent) co_return describe(sent.error());
  const Result<std::string> ready = co_await stage.line(reactor_.now() + kTakeTimeout);
  if (!ready) co_return describe(ready.error());
  const Json prepared = Json::parse(*ready, nullptr, false);
  if (!prepared.is_object() || !value_of<bool>(prepared, "ready")) co_return error_in(*ready);
  for (bool whole = false; !whole && sent;) {
    const Result<cluster::Frame> frame = co_await channel.receive(reactor_.now() + cluster::kProgressTimeout);
    // Without its end the controller takes no part for the whole.
    if (!frame) co_return describe(frame.error());
    if (frame->kind == cluster::FrameKind::kMessage) co_return error_in(frame->body);
    whole = frame->kind == cluster::FrameKind::kEnd;
    if (!whole && frame->body.empty()) continue;
    const std::string bytes = upload_length(frame->body.size()) + frame->body;
    sent = co_await stage.send(bytes);
  }
  // What it says is the better reason.
  for (;;) {
    const Result<std::string> said = co_await stage.line(reactor_.now() + kStepTimeout);
    if (!said) co_return describe(said.error());
    const Json answer = Json::parse(*said, nullptr, false);
    if (answer.is_object() && answer.contains("progress")) continue;
    co_return is_good(*said) ? "" : error_in(*said);
  }
}

// {"request": "release-pack", "release": 8}: {"ready": true}, the archive as data, its end,
// {"ok": true}.
Task<std::string> Member::answer_release_pack(PeerTalk& talk) {
  const Json json = Json::parse(talk.message, nullptr, false);
  const Json question = {{"command", "pack-release"}, {"release", value_of<uint32_t>(json, "release")}};
  ControlCall pack(reactor_);
  const Result<void> asked = co_await pack.ask(control_socket(folders_), line_of(question), soon());
  if (!asked) co_return failure_line(describe(asked.error()));
  Result<std::string> said = co_await pack.line(soon());
  if (!said) co_return failure_line(describe(said.error()));
  const Json ready = Json::parse(*said, nullptr, false);
  if (!ready.is_object() || !value_of<bool>(ready, "ready")) co_return *said;
  Result<void> sent = co_await talk.channel.send_message(*said);
  UploadFrames frames(UploadFrames::Behind::kMayFollow);
  while (sent && !frames.complete()) {
    const Result<std::string> bytes = co_await pack.bytes(reactor_.now() + kTakeTimeout);
    if (!bytes) co_return failure_line(describe(bytes.error()));
    if (bytes->empty()) co_return failure_line("the archive was cut off");
    const Result<std::vector<std::string_view>> parts = frames.add(*bytes);
    if (!parts) co_return failure_line(describe(parts.error()));
    for (const std::string_view part : *parts) {
      std::string data(part);
      if (sent) sent = co_await talk.channel.send_data(std::move(data));
    }
  }
  if (sent) sent = co_await talk.channel.send_end();
  co_return sent ? R"({"ok":true})" : failure_line(describe(sent.error()));
}

}  // namespace terrace::program

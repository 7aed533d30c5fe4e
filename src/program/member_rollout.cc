// The member's part about deploys and rollbacks of the whole site. What comes next is
// decided by cluster/rollout.h; here it is carried out. A note in the shared state, kept
// alive, is the lock: only one deploy is under way, and when its leader dies the others
// remove the note and every server goes back to what is recorded.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "cluster/follow.h"
#include "program/control.h"
#include "program/control_call.h"
#include "program/control_client.h"
#include "program/json_value.h"
#include "program/member.h"
#include "program/site_deploy.h"
#include "program/upload.h"

namespace terrace::program {
namespace {

using cluster::Came;
using cluster::Order;
using cluster::OrderKind;
using cluster::Outcome;
using Json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kServedTimeout{3};
constexpr seconds kRecordTimeout{10};
// A server that works on a step says so this often …
constexpr seconds kStepPulse{2};
// … and has died when it was silent for so long.
constexpr seconds kStepSilence{10};
constexpr std::chrono::hours kStepTimeout{2};
constexpr seconds kOldTimeout{60};
constexpr milliseconds kLook{200};
constexpr seconds kNoteTimeout{3};
constexpr int kIdBytes = 8;

std::string line_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

int64_t seconds_of(WallTime time) {
  return std::chrono::duration_cast<seconds>(time.time_since_epoch()).count();
}

bool has(const std::vector<uint32_t>& numbers, uint32_t number) {
  return std::ranges::find(numbers, number) != numbers.end();
}

// The command of the control socket that carries an order out.
Json command_of(const Order& order, uint32_t release, const std::string& by) {
  switch (order.kind) {
    case OrderKind::kMigrate:
      return {{"command", "migrate-release"}, {"release", release}, {"by", by}};
    case OrderKind::kSwitch:
      return {{"command", "switch-release"}, {"release", release}, {"by", by}, {"bake", order.bakes}};
    case OrderKind::kForget:
      return {{"command", "fail-release"}, {"release", release}, {"reason", "its deploy failed"}};
    default:
      return nullptr;
  }
}

}  // namespace

// ---- what people ask

Task<std::string> Member::answer_deploy(std::string line, Conversation& talk) {
  std::string answered = co_await lead_deploy(std::move(line), talk, false);
  co_return answered;
}

Task<std::string> Member::answer_rollback(std::string line, Conversation& talk) {
  std::string answered = co_await lead_deploy(std::move(line), talk, true);
  co_return answered;
}

// Whoever leads it hears of it when it next keeps its note alive.
Task<std::string> Member::answer_cancel_deploy(std::string, Conversation&) {
  if (!identity_) co_return failure_line(why_not_);
  const Time deadline = reactor_.now() + kRecordTimeout;
  while (reactor_.now() < deadline) {
    const Result<std::optional<cluster::Entry>> entry =
        co_await state_->get(std::string(cluster::kDeployKey), deadline);
    if (!entry) co_return failure_line(describe(entry.error()));
    if (!*entry) co_return failure_line("nothing is being deployed");
    const cluster::Committed removed =
        co_await state_->remove(std::string(cluster::kDeployKey), (*entry)->version, deadline);
    if (removed.done()) co_return R"({"ok":true})";
  }
  co_return failure_line("it could not be called off in time; try again");
}

Task<std::string> Member::lead_deploy(std::string line, Conversation& talk, bool rollback) {
  if (!identity_) co_return failure_line(why_not_);
  if (site_deploy_ || beginning_deploy_) co_return failure_line("a deploy is under way, led by this server");
  const Json request = Json::parse(line, nullptr, false);
  beginning_deploy_ = true;
  std::string problem;
  const std::shared_ptr<SiteDeploy> deploy =
      co_await begin_site_deploy(value_of<std::string>(request, "by"), talk, rollback, problem);
  site_deploy_ = deploy;
  beginning_deploy_ = false;
  if (!deploy) co_return failure_line(problem);
  Scope beats;
  beats.spawn(keep_note(deploy));
  while (const std::optional<Order> order = deploy->rollout.next()) {
    deploy->note.phase = cluster::word(order->kind);
    std::string why;
    const Came came = co_await carry_out(*deploy, *order, why);
    deploy->rollout.came(*order, came, std::move(why));
  }
  deploy->over = true;
  co_await beats.join();
  std::string answered = end_of(*deploy);
  site_deploy_.reset();
  co_return answered;
}

std::string Member::end_of(const SiteDeploy& deploy) {
  const cluster::Rollout& rollout = deploy.rollout;
  const double taken = std::chrono::duration<double>(reactor_.now() - deploy.began).count();
  Json answer = {{"ok", rollout.succeeded()},
                 {"release", deploy.note.release},
                 {"serving", rollout.succeeded() ? deploy.note.release : deploy.before.current()},
                 {"left_out", rollout.left_out()},
                 {"seconds", taken}};
  if (rollout.succeeded()) {
    log_.info("a release serves on all servers", {{"release", int64_t{deploy.note.release}}});
    return line_of(answer);
  }
  const Order& at = rollout.failed_at();
  answer["error"] = at.server.empty() ? rollout.why() : fmt::format("{}: {}", at.server, rollout.why());
  answer["phase"] = cluster::word(at.kind);
  answer["output"] = deploy.last_lines;
  log_.error("the deploy failed; the release before serves on all servers",
             {{"release", int64_t{deploy.note.release}}, {"server", at.server}, {"why", rollout.why()}});
  return line_of(answer);
}

// ---- the beginning: who is there, and the lock

Task<std::shared_ptr<SiteDeploy>> Member::begin_site_deploy(std::string by, Conversation& talk, bool rollback,
                                                            std::string& problem) {
  std::shared_ptr<SiteDeploy> none;
  const Time deadline = reactor_.now() + kRecordTimeout;
  const Result<cluster::Snapshot> all = co_await state_->list("", deadline);
  if (!all) {
    problem = "what the servers share cannot be reached: " + describe(all.error());
    co_return none;
  }
  const cluster::Entry* entry = all->find(cluster::kReleaseKey);
  const Result<cluster::SharedRelease> now = entry != nullptr
                                                 ? cluster::parse_shared_release(entry->value)
                                                 : Result<cluster::SharedRelease>(cluster::SharedRelease());
  if (const cluster::Entry* other = all->find(cluster::kDeployKey)) {
    problem = busy_text(other->value);
    co_return none;
  }
  if (!now || (rollback && now->previous() == 0)) {
    problem = !now                  ? describe(now.error())
              : now->current() == 0 ? "nothing has been deployed yet"
                                    : fmt::format("there is no release before release {}", now->current());
    co_return none;
  }
  const uint32_t number = rollback ? now->previous() : now->last + 1;
  cluster::RolloutPlan plan = co_await plan_rollout(number, rollback, problem);
  if (!problem.empty()) co_return none;
  auto deploy = std::make_shared<SiteDeploy>(talk, std::move(plan));
  deploy->began = reactor_.now();
  deploy->before = *now;
  deploy->id = random_secret(kIdBytes);
  deploy->note = {.release = number,
                  .rollback = rollback,
                  .phase = "upload",
                  .by = std::move(by),
                  .server = identity_->server,
                  .since = seconds_of(wall()),
                  .id = deploy->id};
  const cluster::Version seen = entry != nullptr ? entry->version : 0;
  problem = co_await take_note(*deploy, seen);
  if (!problem.empty()) co_return none;
  log_.info(rollback ? "a rollback of the site begins" : "a deploy of the site begins",
            {{"release", int64_t{number}}, {"by", deploy->note.by}});
  co_return deploy;
}

// The number is used up with the first commit: no two deploys have the same.
Task<std::string> Member::take_note(SiteDeploy& deploy, cluster::Version release_version) {
  cluster::SharedRelease numbered = deploy.before;
  numbered.last = std::max(numbered.last, deploy.note.release);
  cluster::Commit commit;
  commit.conditions = {{std::string(cluster::kDeployKey), 0},
                       {std::string(cluster::kReleaseKey), release_version}};
  commit.writes = {{std::string(cluster::kDeployKey), to_json(deploy.note)},
                   {std::string(cluster::kReleaseKey), to_json(numbered)}};
  const cluster::Committed committed =
      co_await state_->commit(std::move(commit), reactor_.now() + kRecordTimeout);
  deploy.before = numbered;
  deploy.version = committed.version;
  if (committed.done()) co_return "";
  // A note that was written all the same is removed like that of a dead leader.
  if (committed.outcome == Outcome::kUnknown)
    co_return "whether the deploy could begin is not known; try again in some seconds";
  if (committed.outcome == Outcome::kRefused) co_return "another deploy has begun at the same moment";
  co_return fmt::format("what the servers share cannot be changed: {}", committed.text);
}

std::string Member::busy_text(std::string_view note) {
  const Result<cluster::DeployNote> deploy = cluster::parse_deploy_note(note);
  if (!deploy) return "a deploy is under way";
  return fmt::format("{} {} is under way, by {}, led by {}, now at `{}`",
                     deploy->rollback ? "a rollback to release" : "the deploy of release", deploy->release,
                     deploy->by.empty() ? "somebody" : deploy->by, deploy->server, deploy->phase);
}

// Who answers takes part; the others take what will serve when they are back.
Task<cluster::RolloutPlan> Member::plan_rollout(uint32_t number, bool rollback, std::string& problem) {
  cluster::RolloutPlan plan{.builder = identity_->server, .rollback = rollback};
  const std::shared_ptr<const topology::Site> site = site_;
  const topology::Server* own = own_entry();
  if (own == nullptr || !runs_releases(*own)) {
    problem = "this server has neither the role `web` nor `app`: deploy on one that has";
    co_return plan;
  }
  const Result<Served> here = co_await served_here();
  if (!here || !here->started) {
    problem = "this server has not started yet";
    co_return plan;
  }
  if (here->here.busy) problem = "this server is busy with a deploy, a restore or a change of the site file";
  if (!problem.empty()) co_return plan;
  const std::vector<ServerReply> replies = co_await ask_all(
      other_servers(), R"({"request":"served"})", {.greeting = kServedTimeout, .answer = kServedTimeout});
  std::vector<std::string> holders;
  for (const topology::Server& server : site->servers) {
    const bool is_own = server.name == identity_->server;
    const auto reply = std::ranges::find(replies, server.name, &ServerReply::server);
    const Result<Served> served = is_own ? here
                                  : reply != replies.end() && reply->reply.has_value()
                                      ? parse_served(reply->reply->message)
                                      : Result<Served>(fail(Code::kUnavailable, "served"));
    if (!runs_releases(server) || !served || !served->started) continue;
    // The leader's own application is the first to show whether the release is any good.
    plan.servers.insert(is_own ? plan.servers.begin() : plan.servers.end(), server.name);
    (has(served->here.ready, number) ? holders : plan.missing).push_back(server.name);
  }
  if (!rollback) plan.missing.clear();
  if (rollback && holders.empty()) problem = fmt::format("no server has release {} any more", number);
  if (rollback && !holders.empty()) plan.builder = holders.front();
  co_return plan;
}

// ---- the lock is kept alive

Task<void> Member::keep_note(std::shared_ptr<SiteDeploy> deploy) {
  Time last = reactor_.now();
  while (!deploy->over && deploy->version != 0) {
    co_await sleep(reactor_, kLook);
    if (deploy->over || deploy->version == 0 || reactor_.now() - last < cluster::kDeployBeat) continue;
    last = reactor_.now();
    if (!deploy->recording) co_await renew_note(*deploy);
  }
}

Task<void> Member::renew_note(SiteDeploy& deploy) {
  ++deploy.note.beat;
  deploy.renewing = true;
  const cluster::Committed renewed =
      co_await state_->put(std::string(cluster::kDeployKey), to_json(deploy.note), deploy.version,
                           reactor_.now() + kRecordTimeout);
  if (renewed.done()) deploy.version = renewed.version;
  if (!renewed.done() && renewed.outcome != Outcome::kUnavailable) co_await look_for_note(deploy);
  deploy.renewing = false;
}

// Refused, or nobody knows: it is still there with our id, or it is lost.
Task<void> Member::look_for_note(SiteDeploy& deploy) {
  const Result<std::optional<cluster::Entry>> entry =
      co_await state_->get(std::string(cluster::kDeployKey), reactor_.now() + kRecordTimeout);
  if (!entry) co_return;
  const Result<cluster::DeployNote> note = *entry
                                               ? cluster::parse_deploy_note((*entry)->value)
                                               : Result<cluster::DeployNote>(fail(Code::kNotFound, "deploy"));
  if (note && note->id == deploy.id) {
    deploy.version = (*entry)->version;
    co_return;
  }
  deploy.version = 0;
  deploy.rollout.call_off("it was called off");
  co_await end_step_here();
}

// ---- orders

Task<Came> Member::carry_out(SiteDeploy& deploy, Order order, std::string& why) {
  Came came = Came::kFailed;
  const char* phase = cluster::word(order.kind);
  if (order.kind == OrderKind::kRecord) {
    came = co_await record_release(deploy, why);
  } else if (order.kind == OrderKind::kGiveUp) {
    deploy.talk.progress(phase, "every server goes back to the release before");
    came = co_await give_up_note(deploy);
  } else if (order.kind == OrderKind::kAwaitOld) {
    came = co_await await_old(deploy, order.server);
  } else if (order.kind == OrderKind::kBuild) {
    came = co_await build_release_here(deploy, why);
  } else {
    if (order.kind != OrderKind::kForget) deploy.talk.progress(phase, order.server);
    came = co_await order_step(deploy, order, why);
  }
  if (came == Came::kUnreachable)
    deploy.talk.progress(phase,
                         fmt::format("{} is down: it takes the release when it is back", order.server));
  co_return came;
}

// The client's upload goes to the controller as it comes.
Task<Came> Member::build_release_here(SiteDeploy& deploy, std::string& why) {
  ControlCall build(reactor_);
  const Json question = {
      {"command", "build-release"}, {"release", deploy.note.release}, {"by", deploy.note.by}};
  Result<void> sent = co_await build.ask(control_socket(folders_), line_of(question), soon());
  Result<std::string> said = fail(Code::kClosed, "build");
  if (sent) said = co_await build.line(reactor_.now() + kRecordTimeout);
  const Json ready = said ? Json::parse(*said, nullptr, false) : Json();
  if (!ready.is_object() || !value_of<bool>(ready, "ready")) {
    why = !sent ? describe(sent.error()) : said ? error_in(*said) : describe(said.error());
    co_return Came::kFailed;
  }
  deploy.talk.say(fmt::format(R"({{"ready":true,"release":{}}})", deploy.note.release));
  why = co_await pass_upload(deploy.talk, build);
  if (!why.empty()) co_return Came::kFailed;
  const Came came = co_await follow_step(deploy, build, why);
  co_return came;
}

Task<std::string> Member::pass_upload(Conversation& talk, ControlCall& build) {
  UploadFrames frames;
  std::string bytes = talk.take_unread();
  std::vector<char> block(256 << 10);
  for (;;) {
    if (!bytes.empty()) {
      if (const auto parts = frames.add(bytes); !parts) co_return "the upload cannot be read";
      const Result<void> sent = co_await build.send(bytes);
      // Why it takes no more it says itself.
      if (!sent || frames.complete()) co_return "";
    }
    bytes.clear();
    const Result<size_t> read = talk.stream().read_now(block);
    if (read && *read == 0) co_return "the upload was cut off";
    if (read) bytes.assign(block.data(), *read);
    if (read) continue;
    if (read.error().code != Code::kWouldBlock) co_return "the upload was cut off";
    const Result<void> readable = co_await talk.stream().readable(reactor_.now() + std::chrono::minutes(5));
    if (!readable) co_return "the upload stood still";
  }
}

// Its progress to the client, its answer to us.
Task<Came> Member::follow_step(SiteDeploy& deploy, ControlCall& call, std::string& why) {
  for (;;) {
    const Result<std::string> said = co_await call.line(reactor_.now() + kStepTimeout);
    if (!said) {
      why = "the controller ended in the middle of it: " + describe(said.error());
      co_return Came::kFailed;
    }
    if (const std::optional<ControlProgress> progress = parse_progress(*said)) {
      deploy.talk.progress(progress->step, progress->line);
      continue;
    }
    co_return came_of(deploy, *said, why);
  }
}

Came Member::came_of(SiteDeploy& deploy, std::string_view answer, std::string& why) {
  if (is_good(answer)) return Came::kDone;
  why = error_in(answer);
  const Json json = Json::parse(answer, nullptr, false);
  if (json.is_object()) deploy.last_lines = value_of<std::vector<std::string>>(json, "output");
  return Came::kFailed;
}

// On this server or on another one.
Task<Came> Member::order_step(SiteDeploy& deploy, Order order, std::string& why) {
  const Json step = {{"request", "deploy-step"},
                     {"id", deploy.id},
                     {"release", deploy.note.release},
                     {"step", cluster::word(order.kind)},
                     {"forget", order.kind == OrderKind::kForget},
                     {"bake", order.bakes},
                     {"from", deploy.rollout.builder()},
                     {"by", deploy.note.by}};
  if (order.server == identity_->server) {
    const std::string answered = co_await do_step(line_of(step), nullptr, &deploy.talk);
    co_return came_of(deploy, answered, why);
  }
  const std::shared_ptr<const topology::Site> site = site_;
  const topology::Server* entry = find_server(*site, order.server);
  const Result<net::Address> address = entry != nullptr
                                           ? net::Address::parse(channel_address(*site, *entry))
                                           : Result<net::Address>(fail(Code::kNotFound, "server"));
  if (!address) co_return Came::kUnreachable;
  cluster::Call call(reactor_);
  const auto open = calls_.insert(calls_.end(), {order.server, &call});
  Came came = Came::kUnreachable;
  const Result<void> opened = co_await call.open(credentials_, order.server, *address, soon());
  if (opened) {
    std::string request = line_of(step);
    const Result<void> sent = co_await call.channel().send_message(std::move(request));
    came = Came::kFailed;
    why = sent ? "" : describe(sent.error());
    if (sent) came = co_await hear_step(deploy, call.channel(), why);
  }
  calls_.erase(open);
  co_return came;
}

Task<Came> Member::hear_step(SiteDeploy& deploy, cluster::Channel& channel, std::string& why) {
  for (;;) {
    const Result<std::string> said = co_await channel.receive_message(reactor_.now() + kStepSilence);
    if (!said) {
      why = "it died in the middle of it: " + describe(said.error());
      co_return Came::kFailed;
    }
    if (const std::optional<ControlProgress> progress = parse_progress(*said)) {
      if (!progress->step.empty()) deploy.talk.progress(progress->step, progress->line);
      continue;
    }
    co_return came_of(deploy, *said, why);
  }
}

// ---- steps, as they are asked of a server

// {"request": "deploy-step", "id": "…", "step": "start", "release": 8, …}
Task<std::string> Member::answer_deploy_step(PeerTalk& talk) {
  std::string answered = co_await do_step(talk.message, &talk, nullptr);
  co_return answered;
}

// Only of the deploy that the shared state knows: another one is over or was called off.
Task<bool> Member::knows_deploy(std::string id) {
  const Time deadline = reactor_.now() + kNoteTimeout;
  for (;;) {
    const std::optional<cluster::DeployNote> note = shared_deploy();
    if (note && note->id == id) co_return true;
    if (reactor_.now() >= deadline) co_return false;
    co_await sleep(reactor_, kLook);
  }
}

Task<std::string> Member::do_step(std::string message, PeerTalk* peer, Conversation* talk) {
  const Json json = Json::parse(message, nullptr, false);
  if (!json.is_object()) co_return failure_line("a step that cannot be read");
  const auto step = value_of<std::string>(json, "step");
  const auto release = value_of<uint32_t>(json, "release");
  const auto id = value_of<std::string>(json, "id");
  const bool forgets = value_of<bool>(json, "forget");
  if (!forgets) {
    const bool known = co_await knows_deploy(id);
    if (!known) co_return failure_line("this deploy is over");
  }
  Order order{.kind = OrderKind::kForget, .bakes = value_of<bool>(json, "bake")};
  if (!forgets && step == cluster::word(OrderKind::kFetch)) order.kind = OrderKind::kFetch;
  if (!forgets && step == cluster::word(OrderKind::kMigrate)) order.kind = OrderKind::kMigrate;
  if (!forgets && step == cluster::word(OrderKind::kSwitch)) order.kind = OrderKind::kSwitch;
  if (!forgets && order.kind == OrderKind::kForget)
    co_return failure_line("a step that this server does not know");
  std::string answered;
  if (order.kind == OrderKind::kFetch) {
    answered = co_await do_fetch(release, value_of<std::string>(json, "from"), peer);
  } else {
    const Json question = command_of(order, release, value_of<std::string>(json, "by"));
    answered = co_await do_command(line_of(question), forgets ? "" : id, peer, talk);
  }
  co_return answered;
}

Task<void> Member::fetch_beside(uint32_t release, std::string from, std::shared_ptr<Fetched> fetched) {
  std::vector<std::string> holders{std::move(from)};
  fetched->problem = co_await fetch_release(release, std::move(holders));
  fetched->over = true;
}

Task<std::string> Member::do_fetch(uint32_t release, std::string from, PeerTalk* peer) {
  const Result<Served> served = co_await served_here();
  if (served && has(served->here.ready, release)) co_return R"({"ok":true})";
  const auto fetched = std::make_shared<Fetched>();
  scope_.spawn(fetch_beside(release, std::move(from), fetched));
  Time said = reactor_.now();
  while (!fetched->over) {
    co_await sleep(reactor_, kLook);
    if (peer == nullptr || reactor_.now() - said < kStepPulse) continue;
    said = reactor_.now();
    co_await peer->progress("", "");
  }
  co_return fetched->problem.empty() ? R"({"ok":true})" : failure_line(fetched->problem);
}

// Whoever asked hears every now and then that we live. `deploy`: the step is ended when that
// one is over; empty: it goes on.
Task<std::string> Member::do_command(std::string question, std::string deploy, PeerTalk* peer,
                                     Conversation* talk) {
  ControlCall call(reactor_);
  const Result<void> asked = co_await call.ask(control_socket(folders_), std::move(question), soon());
  if (!asked) co_return failure_line(describe(asked.error()));
  const Time deadline = reactor_.now() + kStepTimeout;
  while (reactor_.now() < deadline) {
    const Result<std::string> said = co_await call.line(reactor_.now() + kStepPulse);
    if (!said && said.error().code == Code::kTimeout) {
      if (peer != nullptr) co_await peer->progress("", "");
      const std::optional<cluster::DeployNote> note = shared_deploy();
      if (!deploy.empty() && (!note || note->id != deploy)) co_await end_step_here();
      continue;
    }
    if (!said) co_return failure_line("the controller ended in the middle of it: " + describe(said.error()));
    const std::optional<ControlProgress> progress = parse_progress(*said);
    if (!progress) co_return *said;
    if (talk != nullptr) talk->progress(progress->step, progress->line);
    if (peer != nullptr) co_await peer->progress(progress->step, progress->line);
  }
  co_return failure_line("it took too long");
}

// Before the switch it is called off; in its first minute the release gives way at once.
Task<void> Member::end_step_here() {
  for (const char* question :
       {R"({"command":"cancel-deploy"})", R"({"command":"rollback","by":"the site"})"}) {
    const Result<std::string> said =
        co_await ask_controller(reactor_, control_socket(folders_), question, nullptr, soon());
    if (said && is_good(*said)) co_return;
  }
}

// ---- the end

// The one commit that makes it true.
Task<Came> Member::record_release(SiteDeploy& deploy, std::string& why) {
  deploy.recording = true;
  while (deploy.renewing) co_await sleep(reactor_, milliseconds(10));
  cluster::SharedRelease next = deploy.before;
  next.serve(deploy.note.release);
  next.holders = deploy.rollout.holders();
  why = "it was called off";
  for (int attempt = 0; attempt < 3 && deploy.version != 0; ++attempt) {
    cluster::Commit commit;
    commit.conditions = {{std::string(cluster::kDeployKey), deploy.version}};
    commit.writes = {{std::string(cluster::kDeployKey), std::nullopt},
                     {std::string(cluster::kReleaseKey), to_json(next)}};
    const cluster::Committed committed =
        co_await state_->commit(std::move(commit), reactor_.now() + kRecordTimeout);
    if (committed.done()) {
      deploy.version = 0;
      co_return Came::kDone;
    }
    const Result<cluster::Snapshot> all = co_await state_->list("", reactor_.now() + kRecordTimeout);
    if (!all) {
      why = fmt::format("it could not be recorded: {}", committed.text);
      continue;
    }
    const cluster::Entry* release = all->find(cluster::kReleaseKey);
    const cluster::Entry* note = all->find(cluster::kDeployKey);
    if (release != nullptr && release->value == to_json(next)) co_return Came::kDone;
    const Result<cluster::DeployNote> there =
        note != nullptr ? cluster::parse_deploy_note(note->value)
                        : Result<cluster::DeployNote>(fail(Code::kNotFound, "deploy"));
    deploy.version = there && there->id == deploy.id ? note->version : 0;
  }
  deploy.recording = false;
  co_return Came::kFailed;
}

// Without the note every server goes back by itself. When nobody can remove it now, it
// dies with us: it is not renewed any more.
Task<Came> Member::give_up_note(SiteDeploy& deploy) {
  deploy.recording = true;
  while (deploy.renewing) co_await sleep(reactor_, milliseconds(10));
  const Time deadline = reactor_.now() + kRecordTimeout;
  while (deploy.version != 0 && reactor_.now() < deadline) {
    const cluster::Committed removed =
        co_await state_->remove(std::string(cluster::kDeployKey), deploy.version, deadline);
    if (removed.done()) break;
    co_await look_for_note(deploy);
    co_await sleep(reactor_, kLook);
  }
  deploy.version = 0;
  co_return Came::kDone;
}

Task<Came> Member::await_old(SiteDeploy& deploy, std::string server) {
  const Time deadline = reactor_.now() + kOldTimeout;
  while (reactor_.now() < deadline) {
    const Result<Served> served = co_await served_of(server);
    const bool back = served && served->here.release == deploy.before.current();
    if (back) deploy.talk.progress("back", fmt::format("{} serves the release before", server));
    // Who is down goes back when it starts.
    if (back || !served) co_return Came::kDone;
    co_await sleep(reactor_, kLook);
  }
  co_return Came::kFailed;
}

}  // namespace terrace::program

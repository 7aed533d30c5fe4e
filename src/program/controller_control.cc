// The controller's control socket (control.h).

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lb/pool.h"
#include "net/stream.h"
#include "program/control.h"
#include "program/controller.h"
#include "program/deploy.h"
#include "program/version.h"
#include "topology/pools.h"

namespace terrace::program {
namespace {

using app::Lifecycle;
using app::Member;
using app::MemberPhase;
using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr int kConversationsMax = 16;
constexpr uint32_t kDrainSecondsMax = 3600;
constexpr milliseconds kStatsPatience{500};
constexpr milliseconds kStatsPause{4};
constexpr milliseconds kTakenPatience{1000};

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string text_in(const Json& request, const char* key) {
  const Json text = request.value(key, Json());
  return text.is_string() ? text.get<std::string>() : "";
}

uint32_t number_in(const Json& request, const char* key) {
  const Json number = request.value(key, Json());
  return number.is_number_unsigned()
             ? static_cast<uint32_t>(std::min<uint64_t>(number.get<uint64_t>(), UINT32_MAX))
             : 0;
}

bool flag_in(const Json& request, const char* key) { return request.value(key, Json()) == true; }

std::optional<DeployStep> step_of(const std::string& command, const Json& request) {
  using Kind = DeployStep::Kind;
  constexpr std::pair<std::string_view, Kind> kSteps[] = {{"build-release", Kind::kBuild},
                                                          {"stage-release", Kind::kStage},
                                                          {"migrate-release", Kind::kMigrate},
                                                          {"switch-release", Kind::kSwitch}};
  for (const auto& [name, kind] : kSteps) {
    if (command != name || !request.value("release", Json()).is_number_unsigned()) continue;
    return DeployStep{.kind = kind,
                      .release = number_in(request, "release"),
                      .by = text_in(request, "by"),
                      .bakes = flag_in(request, "bake")};
  }
  return std::nullopt;
}

std::string failure(const std::string& text) { return line_of({{"ok", false}, {"error", text}}); }

double seconds_between(Time from, Time to) {
  return std::chrono::duration<double>(std::max(to - from, Duration::zero())).count();
}

// Of the pools that the site has now, and who is in them.
Json backends_json(const topology::Site& site,
                   const std::map<std::string, std::vector<BackendStanding>>& standings, Time now) {
  Json backends = Json::array();
  for (const topology::Pool& pool : topology::pools_of(site)) {
    const auto found = standings.find(pool.name);
    if (found == standings.end()) continue;
    for (const BackendStanding& one : found->second) {
      if (std::ranges::find(pool.members, one.backend.view(), &topology::PoolMember::name) ==
          pool.members.end())
        continue;
      Json json = {{"pool", pool.name},
                   {"name", std::string(one.backend.view())},
                   {"state", std::string(lb::name_of(static_cast<lb::State>(one.state)))},
                   {"seconds", seconds_between(Time(Duration(one.since_ns)), now)},
                   {"weight", one.weight},
                   {"standby", one.standby != 0}};
      if (!one.reason.view().empty()) json["reason"] = std::string(one.reason.view());
      backends.push_back(std::move(json));
    }
  }
  return backends;
}

const char* word(MemberPhase phase) {
  switch (phase) {
    case MemberPhase::kStarting:
    case MemberPhase::kUnwell:
      return "starting";
    case MemberPhase::kUp:
      return "up";
    case MemberPhase::kDraining:
      return "draining";
    case MemberPhase::kStopping:
      return "stopping";
    case MemberPhase::kReady:
      return "ready";
    case MemberPhase::kStandby:
      return "standby";
  }
  return "";
}

const char* word(Limits limits) {
  switch (limits) {
    case Limits::kNone:
      return "none";
    case Limits::kCgroup1:
      return "cgroup v1";
    case Limits::kCgroup2:
      return "cgroup v2";
    case Limits::kRlimit:
      return "rlimit";
  }
  return "";
}

Json totals_json(const Stats& stats) {
  Json statuses;
  for (size_t i = 1; i < stats.statuses.size(); ++i) statuses[fmt::format("{}xx", i)] = stats.statuses[i];
  return {
      {"connections", stats.connections}, {"connections_open", stats.connections_open},
      {"requests", stats.requests},       {"in_flight", stats.in_flight},
      {"queued", stats.queued},           {"statuses", statuses},
      {"bytes_sent", stats.bytes_sent},   {"duration_seconds", static_cast<double>(stats.duration_ns) / 1e9}};
}

void add_stats(Json& instance, const std::optional<Stats>& stats, uint32_t slot, uint32_t generation) {
  if (!stats) return;
  const auto count = std::min<size_t>(stats->instances_count, stats->instances.size());
  for (size_t i = 0; i < count; ++i) {
    const InstanceStats& each = stats->instances[i];
    if (each.slot != slot || each.generation != generation) continue;
    instance["requests"] = each.requests;
    instance["failures"] = each.failures;
    instance["errors"] = each.errors;
    instance["in_flight"] = each.in_flight;
  }
}

std::string place_text(const ListenPlace& place) {
  return place.port != 0 ? fmt::format("127.0.0.1:{}", place.port) : "unix:" + place.socket;
}

// A waiting slot has no member; its entry says when the next one starts.
Json waiting_json(const Lifecycle::Slot& place, Time now) {
  Json json = {{"state", place.crash_loop ? "crash-loop" : "waiting"}, {"pid", 0}, {"generation", 0}};
  if (place.retry) json["retry_seconds"] = seconds_between(now, *place.retry);
  return json;
}

void add_memory(Json& json, const SlotMemory& memory) {
  if (memory.last_exit.empty()) return;
  json["last_exit"] = memory.last_exit;
  json["last_output"] = memory.last_output;
}

std::vector<const Member*> members_of(const Lifecycle::Slot& place) {
  std::vector<const Member*> members;
  if (place.current) members.push_back(&*place.current);
  if (place.candidate) members.push_back(&*place.candidate);
  if (place.standby) members.push_back(&*place.standby);
  for (const Member& member : place.retiring) members.push_back(&member);
  return members;
}

Json backup_json(const SiteBackups& backups, WallTime now) {
  const auto since = [&](WallTime then) { return std::chrono::duration<double>(now - then).count(); };
  const BackupMemory& memory = backups.memory();
  Json json = {{"running", backups.busy()}, {"failures", memory.history.failures}};
  if (memory.history.good) {
    json["name"] = memory.name;
    json["age_seconds"] = since(*memory.history.good);
    json["bytes"] = memory.bytes;
    json["database_bytes"] = memory.database_bytes;
  }
  if (!memory.error.empty()) json["error"] = memory.error;
  if (const std::optional<WallTime> next = backups.next())
    json["next_seconds"] = std::max(0.0, -since(*next));
  return json;
}

Json listeners_json(const auto& states) {
  Json listeners = Json::array();
  for (const auto& each : states) {
    Json one = {{"purpose", std::string(word_of(each.purpose))}, {"address", each.requested}};
    if (!each.bound.empty()) one["bound"] = each.bound;
    if (each.error != 0) one["error"] = ::strerrordesc_np(each.error);
    listeners.push_back(one);
  }
  return listeners;
}

}  // namespace

Result<void> Controller::open_control_socket() {
  const std::string path = control_socket(folders_);
  const Result<net::Address> address = net::Address::unix_socket(path);
  if (!address) return std::unexpected(address.error());
  ::unlink(path.c_str());
  const mode_t before = ::umask(0177);
  Result<Descriptor> socket = net::listen_on(*address);
  ::umask(before);
  if (!socket) return std::unexpected(socket.error());
  if (welcome_.privileged != 0 && ::chown(path.c_str(), -1, welcome_.cluster_group) == 0)
    (void)!::chmod(path.c_str(), 0660);
  control_ =
      std::make_unique<net::Listener>(reactor_, std::move(*socket), static_cast<net::Acceptor&>(*this), log_);
  return control_->start();
}

// The worker, which talks to strangers, has our user, and with it the right to connect.
// It asks over its channel; whoever asks here as that user has taken it over.
bool Controller::may_ask(const Descriptor& socket) const {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  if (welcome_.privileged == 0 || peer.uid != welcome_.own_user) return true;
  log_.warning("refused at the control socket", {{"user", int64_t{peer.uid}}, {"pid", int64_t{peer.pid}}});
  return false;
}

void Controller::accepted(Descriptor socket, const net::Peer&) {
  if (conversations_ >= kConversationsMax) return;
  ++conversations_;
  scope_.spawn(serve(std::move(socket)));
}

// One line in; lines about progress and one answer out.
Task<void> Controller::serve(Descriptor socket) {
  net::Stream stream;
  const bool heard = may_ask(socket);
  const Result<void> opened = stream.open(reactor_, std::move(socket));
  const Time deadline = reactor_.now() + kControlRequestTimeout;
  std::string line;
  bool open = opened.has_value();
  while (open && line.find('\n') == std::string::npos && line.size() <= kControlRequestBytesMax) {
    char block[4096];
    const Result<size_t> read = stream.read_now(block);
    if (read) line.append(block, *read);
    if (read && *read == 0) open = false;
    if (read) continue;
    open = read.error().code == Code::kWouldBlock;
    if (!open) break;
    const Result<void> readable = co_await stream.readable(deadline);
    open = readable.has_value();
  }
  if (const size_t end = line.find('\n'); open && end != std::string::npos) {
    Conversation conversation(stream, line.substr(end + 1));
    std::string answered = failure("the control socket is not for the user of the worker");
    if (heard) answered = co_await answer(std::string_view(line).substr(0, end), conversation);
    const std::string said = conversation.take_pending() + answered;
    const Result<void> written = co_await stream.write_all(said, kControlRequestTimeout);
    if (!written) log_.debug("a control answer was not taken", {{"error", describe(written.error())}});
  }
  --conversations_;
}

Task<std::string> Controller::answer(std::string_view line, Conversation& conversation) {
  const Json request = Json::parse(line, nullptr, false);
  std::string command;
  if (request.is_object() && request.contains("command") && request["command"].is_string())
    command = request["command"].get<std::string>();
  if (command == "status") {
    const std::string status = co_await answer_status();
    co_return status;
  }
  if (command == "reload") {
    const std::string reloaded = co_await answer_reload();
    co_return reloaded;
  }
  if (command == "restart" && request.value("what", Json()) == "app") {
    const std::string restarted = co_await answer_restart();
    co_return restarted;
  }
  if (command == "upgrade") {
    const std::string refused = co_await answer_upgrade();
    co_return refused;
  }
  if (command == "deploy") {
    const std::string deployed = co_await answer_deploy(conversation, text_in(request, "by"));
    co_return deployed;
  }
  if (command == "rollback") {
    const std::string rolled_back = co_await answer_rollback(conversation, text_in(request, "by"));
    co_return rolled_back;
  }
  if (command == "cancel-deploy") co_return answer_cancel();
  if (command == "releases") co_return answer_releases();
  if (command == "backup") {
    const std::string backed_up = co_await answer_backup(conversation);
    co_return backed_up;
  }
  if (command == "restore" && request.value("backup", Json()).is_string()) {
    const std::string restored = co_await answer_restore(request["backup"].get<std::string>(), conversation);
    co_return restored;
  }
  if (command == "stop") {
    tell_supervisor(StopSite{});
    co_return line_of({{"ok", true}});
  }
  const std::string answered = co_await answer_as_one_of_several(std::string(line), conversation);
  co_return answered;
}

// What the member asks, and nobody else: it decides together with other servers.
Task<std::string> Controller::answer_as_one_of_several(std::string line, Conversation& conversation) {
  const Json request = Json::parse(line, nullptr, false);
  const std::string command = request.is_object() ? text_in(request, "command") : "";
  if (command.empty()) co_return failure("unknown command");
  if (std::optional<DeployStep> step = step_of(command, request)) {
    const std::string stepped = co_await answer_step(conversation, std::move(*step));
    co_return stepped;
  }
  if (command == "take-site") {
    auto offer = std::make_shared<Offer>(reactor_);
    offer->version = number_in(request, "version");
    offer->shown_as = text_in(request, "name");
    offer->check_only = flag_in(request, "check_only");
    const std::string taken = co_await answer_take_site(conversation, offer);
    co_return taken;
  }
  if (command == "served") {
    // A version that is said to be taken holds for the next request.
    const Time deadline = reactor_.now() + kTakenPatience;
    while (worker_ && worker_site_ != version_ && !stopping_ && reactor_.now() < deadline)
      co_await sleep(reactor_, kStatsPause);
    co_return answer_served();
  }
  if (command == "pack-release") {
    const std::string packed = co_await answer_pack_release(conversation, number_in(request, "release"));
    co_return packed;
  }
  if (command == "fail-release") {
    const std::string failed =
        co_await answer_fail_release(number_in(request, "release"), text_in(request, "reason"));
    co_return failed;
  }
  if (command == "drain") {
    const std::string drained = co_await answer_drain(
        std::chrono::seconds(std::min<uint32_t>(number_in(request, "limit_seconds"), kDrainSecondsMax)));
    co_return drained;
  }
  if (command == "undrain") {
    const std::string undrained = co_await answer_undrain();
    co_return undrained;
  }
  if (command == "store-secret") {
    const std::string stored = co_await answer_store_secret(conversation, text_in(request, "name"));
    co_return stored;
  }
  if (command == "remove-secret") {
    const std::string removed = co_await answer_remove_secret(text_in(request, "name"));
    co_return removed;
  }
  if (command == "read-secrets") {
    const std::string secrets = co_await answer_read_secrets(conversation);
    co_return secrets;
  }
  co_return failure("unknown command");
}

// Fresh numbers of the worker, or the last ones when it does not answer in time.
Task<void> Controller::refresh_stats() {
  const uint32_t id = ++stats_asked_;
  tell_worker(StatsRequest{.id = id});
  const Time deadline = reactor_.now() + kStatsPatience;
  while (worker_ && reactor_.now() < deadline && (!stats_ || stats_->id < id))
    co_await sleep(reactor_, kStatsPause);
}

Task<std::string> Controller::answer_status() {
  co_await refresh_stats();
  const Time now = reactor_.now();
  Json instances = Json::array();
  for (uint32_t slot = 0; slot < lifecycle_.slots().size(); ++slot) {
    const Lifecycle::Slot& place = lifecycle_.slots()[slot];
    const auto add = [&](Json one) {
      one["name"] = instance_name(slot);
      one["slot"] = slot;
      one["restarts"] = place.restarts;
      add_memory(one, memory_[slot]);
      instances.push_back(std::move(one));
    };
    for (const Member* member : members_of(place)) {
      Json one = {
          {"state",
           place.crash_loop && member->phase == MemberPhase::kStarting ? "crash-loop" : word(member->phase)},
          {"generation", member->generation},
          {"uptime_seconds", seconds_between(member->started, now)}};
      const Key key(slot, member->generation);
      if (const auto it = places_.find(key); it != places_.end()) one["address"] = place_text(it->second);
      const auto running = instances_.find(key);
      one["pid"] = running == instances_.end() ? 0 : running->second->record.pid;
      add_stats(one, stats_, slot, member->generation);
      add(std::move(one));
    }
    if (place.retry) add(waiting_json(place, now));
  }
  Json status = {{"ok", true},
                 {"site", site_ ? site_->site.name : ""},
                 {"path", welcome_.site_path.view()},
                 {"version", version_},
                 {"state", stopping_  ? "stopping"
                           : serving_ ? "serving"
                                      : "starting"},
                 {"program", {{"version", kVersion}, {"upgrades", welcome_.upgrades}}},
                 {"supervisor", {{"pid", ::getppid()}}},
                 {"member", {{"pid", member_started_.pid}, {"starts", member_started_.starts}}},
                 {"controller", {{"pid", ::getpid()}, {"starts", welcome_.starts}}},
                 {"worker",
                  {{"pid", worker_ ? worker_started_.pid : 0},
                   {"starts", worker_started_.starts},
                   {"connected", worker_ != nullptr},
                   {"retiring", retiring_}}},
                 {"listeners", listeners_json(listeners_)},
                 {"instances", instances}};
  if (site_ && balances(*site_)) status["backends"] = backends_json(*site_, standings_, now);
  if (site_ && site_->db.engine == topology::DbEngine::kSqlite)
    status["backup"] = backup_json(backups_, reactor_.clock().wall());
  status["release"] = releases_.current();
  status["drained"] = drained_;
  if (applied_ != 0) status["applied"] = applied_;
  if (deploy_) status["deploy"] = {{"release", deploy_->number}, {"phase", deploy_->phase}};
  if (!refused_.empty()) status["error"] = refused_;
  if (const std::string problem = app_problem(); !problem.empty()) status["app_error"] = problem;
  if (!stray_writes_.said().empty()) status["stray_writes"] = stray_writes_.said();
  if (worker_ && stats_) status["totals"] = totals_json(*stats_);
  if (!instances_.empty()) {
    const InstanceRunning& record = instances_.begin()->second->record;
    status["isolation"] = record.isolation == Isolation::kNamespace ? "namespace" : "subreaper";
    status["limits"] = word(record.limits);
  }
  co_return line_of(status);
}

Task<std::string> Controller::answer_reload() {
  const uint32_t wanted = reloads_received_ + 1;
  tell_supervisor(ReadSite{});
  while (static_cast<int32_t>(reloads_done_ - wanted) < 0) co_await reloaded_.wait();
  if (last_reload_.accepted)
    co_return line_of({{"ok", true}, {"version", version_}, {"changed", last_reload_.changed}});
  co_return line_of({{"ok", false},
                     {"error", "the site file is refused; the one before stays"},
                     {"diagnostics", Json::array({last_reload_.text})}});
}

// Only a refusal is answered: an upgrade that works ends us and the conversation.
Task<std::string> Controller::answer_upgrade() {
  if (deploy_ || backups_.restoring()) {
    const char* what = deploy_ ? "a deploy is under way" : "a restore is under way";
    co_return line_of({{"ok", false}, {"error", what}, {"busy", true}});
  }
  upgrade_answered_.reset();
  tell_supervisor(Upgrade{});
  co_await upgrade_answered_.wait();
  constexpr std::string_view kBusy = "busy: ";
  const bool busy = upgrade_refused_.starts_with(kBusy);
  co_return line_of({{"ok", false},
                     {"error", busy ? upgrade_refused_.substr(kBusy.size()) : upgrade_refused_},
                     {"busy", busy}});
}

Task<std::string> Controller::answer_restart() {
  if (!site_ || site_->app.run.empty()) co_return failure("there is no application");
  if (deploy_) co_return failure("a deploy is under way");
  if (backups_.restoring()) co_return failure("a restore is under way");
  if (lifecycle_.rolling()) co_return failure("a restart is under way already");
  if (runs_without_app() || first_migration_)
    co_return failure("the first `migrate` has not succeeded; `terrace reload` tries it again");
  roll_result_.reset();
  lifecycle_.roll(reactor_.now());
  settle();
  while (!roll_result_) co_await rolled_.wait();
  if (!*roll_result_) {
    co_return failure("a new instance did not become healthy: the old ones stay; see `terrace logs`");
  }
  const int instances = topology::derive(*site_, machine()).instances;
  co_return line_of({{"ok", true}, {"instances", instances}});
}

}  // namespace terrace::program

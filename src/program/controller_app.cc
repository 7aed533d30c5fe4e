// The controller's part about the app's instances: carries out what the lifecycle
// decides, probes, and writes the log.

#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "health/http_probe.h"
#include "program/controller.h"

namespace terrace::program {
namespace {

using app::Action;
using app::Member;
using app::MemberPhase;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Lines of an instance's output that are kept for its obituary.
constexpr size_t kLastLines = 10;
// Read from one instance before the others have their turn.
constexpr int kBlocksPerTurn = 16;

// What a successor must know about an instance.
struct InstanceTag {
  MemberPhase phase = MemberPhase::kStarting;
  bool replace = false;  // a restart shall replace it
  uint64_t recipe = 0;
  uint32_t release = 0;  // that it was started from
};
static_assert(sizeof(InstanceTag) <= sizeof(Tag));

InstanceState state_of(MemberPhase phase) {
  switch (phase) {
    case MemberPhase::kStarting:
    case MemberPhase::kUnwell:
    case MemberPhase::kReady:
      return InstanceState::kStarting;
    case MemberPhase::kUp:
      return InstanceState::kUp;
    case MemberPhase::kDraining:
    case MemberPhase::kStandby:
      return InstanceState::kDraining;
    case MemberPhase::kStopping:
      return InstanceState::kDown;
  }
  return InstanceState::kDown;
}

bool is_probed(const Member* member) {
  // One that drains may go on standby afterwards, where its health matters again.
  return member != nullptr && member->phase != MemberPhase::kStopping;
}

net::Address address_of(const InstanceRunning& record) {
  if (record.port != 0) return net::Address::loopback(static_cast<uint16_t>(record.port));
  return net::Address::unix_socket(record.socket.view()).value_or(net::Address());
}

}  // namespace

std::string end_text(const InstanceEnded& record) {
  if (!record.error.view().empty()) return "not started: " + std::string(record.error.view());
  // A shell in between turns the signal into a status (POSIX, 2.8.2).
  const bool killed = WIFSIGNALED(record.status) || WEXITSTATUS(record.status) == 128 + SIGKILL;
  if (record.out_of_memory != 0 && killed) return "out of memory";
  if (WIFEXITED(record.status)) return fmt::format("exit status {}", WEXITSTATUS(record.status));
  const char* name = ::sigdescr_np(WTERMSIG(record.status));
  return fmt::format("signal {} ({})", WTERMSIG(record.status), name != nullptr ? name : "unknown");
}

std::string instance_name(uint32_t slot) { return fmt::format("app-{}", slot + 1); }

// ---- what is wanted, and what runs already

void Controller::configure_app() {
  if (!site_ || !complete_ || stopping_ || first_migration_ || !release_known_) return;
  const topology::Site site = awaits_release() ? without_release(*site_) : *site_;
  const bool migrates = !site.app.run.empty() && !site.app.migrate.empty() && !only_balances(site);
  if (!migrated_ && migrates && releases_.current() == 0) {
    // A restore that was cut off comes first: see release_app().
    if (backups_.restoring()) return;
    first_migration_ = true;
    scope_.spawn(migrate_first());
    return;
  }
  migrated_ = true;
  lifecycle_.configure(plan_of(site), reactor_.now());
}

app::LifecyclePlan Controller::plan_of(const topology::Site& site) const {
  const int instances = only_balances(site) ? 0 : topology::derive(site, machine()).instances;
  return {.instances = std::min(static_cast<uint32_t>(instances), kSlotsMax),
          .recipe = recipe_of(site),
          .start_timeout = site.app.start_timeout,
          .grace = site.app.grace};
}

// releases.json does not say it, but the recipe of what runs tells the folder that it was
// started in.
void Controller::find_release_that_serves(const std::vector<AdoptedInstance>& all) {
  refused_ = releases_problem();
  if (!site_) return;
  std::vector<uint32_t> numbers = release_folders(folders_.state);
  numbers.push_back(0);
  for (const AdoptedInstance& adopted : all) {
    InstanceTag tag;
    std::memcpy(&tag, adopted.record.tag.bytes.data(), sizeof tag);
    if (tag.phase != MemberPhase::kUp) continue;
    for (const uint32_t number : numbers) {
      if (take_release(number, tag.recipe)) return;
    }
  }
  log_.error("nobody knows which release serves: what runs stays as it is");
}

bool Controller::take_release(uint32_t number, uint64_t recipe) {
  const std::string folder = release_folder(folders_.state, number);
  const topology::Site site = number == 0 ? *site_ : topology::at_root(*site_, folder);
  if (recipe_of(site) != recipe) return false;
  site_ = std::make_shared<const topology::Site>(site);
  release_known_ = true;
  if (number == 0) return true;
  releases_.served = {number};
  releases_.releases = {{.number = number, .state = ReleaseState::kReady, .reason = {}}};
  return true;
}

void Controller::adopt(const AdoptedInstance& adopted) {
  InstanceTag tag;
  std::memcpy(&tag, adopted.record.tag.bytes.data(), sizeof tag);
  const Member member{.generation = adopted.record.generation,
                      .recipe = tag.recipe,
                      .phase = tag.phase,
                      .started = Time(std::chrono::nanoseconds(adopted.record.started_ns)),
                      .deadline = {},
                      .replace = tag.replace};
  lifecycle_.adopt(adopted.record.slot, member, reactor_.now());
}

// Probes it from now on, so the lifecycle must know what it is by now.
void Controller::take_over(AdoptedInstance adopted) {
  InstanceTag tag;
  std::memcpy(&tag, adopted.record.tag.bytes.data(), sizeof tag);
  started_from_[{adopted.record.slot, adopted.record.generation}] = tag.release;
  const std::shared_ptr<ManagedInstance> instance = manage(adopted.record, std::move(adopted.output));
  const bool was_healthy = tag.phase == MemberPhase::kUp || tag.phase == MemberPhase::kReady ||
                           tag.phase == MemberPhase::kStandby || tag.phase == MemberPhase::kDraining;
  if (was_healthy) instance->health = health::RiseFall(health::Health::kHealthy);
  if (tag.phase == MemberPhase::kUnwell) instance->health = health::RiseFall(health::Health::kUnhealthy);
}

std::shared_ptr<ManagedInstance> Controller::manage(const InstanceRunning& record, Descriptor output) {
  auto instance = std::make_shared<ManagedInstance>(reactor_);
  instance->record = record;
  instance->name = log_name(record.slot, record.generation);
  instance->output = std::move(output);
  instance->started = Time(std::chrono::nanoseconds(record.started_ns));
  const Key key(record.slot, record.generation);
  places_[key] = {.port = static_cast<uint16_t>(record.port), .socket = std::string(record.socket.view())};
  instances_[key] = instance;
  scope_.spawn(read_output(instance));
  scope_.spawn(probe_while_running(instance));
  return instance;
}

// An instance that has ended was one of the release that serves, as far as it matters
// to what is said of it.
uint32_t Controller::release_of(uint32_t slot, uint32_t generation) const {
  const auto found = started_from_.find({slot, generation});
  return found == started_from_.end() ? releases_.current() : found->second;
}

std::string Controller::log_name(uint32_t slot, uint32_t generation) const {
  return name_in_log(instance_name(slot), release_of(slot, generation));
}

// ---- what happened

void Controller::handle_running(const InstanceRunning& record, Descriptor output) {
  if (!complete_) {
    adopted_.push_back({record, std::move(output)});
    return;
  }
  manage(record, std::move(output));
}

void Controller::handle_ended(const InstanceEnded& record) {
  if (!complete_) {
    ended_before_.push_back(record);
    return;
  }
  const Key key(record.slot, record.generation);
  const std::string how = end_text(record);
  const std::string name = log_name(record.slot, record.generation);
  const Member* member = lifecycle_.find(record.slot, record.generation);
  const bool expected = stopping_ || (member != nullptr && member->phase == MemberPhase::kStopping);
  SlotMemory& memory = memory_[record.slot];
  if (const auto found = instances_.find(key); found != instances_.end()) {
    ManagedInstance& instance = *found->second;
    take_output(instance);
    instance.ended = true;
    instance.probe_now.ring();
    if (!expected) memory.last_output = instance.last_lines;
    instances_.erase(found);
  }
  if (!expected) {
    memory.last_exit = how;
    log_.warning("an instance ended", {{"instance", name}, {"how", how}});
  }
  app_log_.write(name, (expected ? "stopped: " : "ended: ") + how);
  places_.erase(key);
  started_from_.erase(key);
  lifecycle_.ended(record.slot, record.generation, reactor_.now());
}

void Controller::tick() {
  lifecycle_.tick(reactor_.now());
  settle();
}

// Carries out what was decided, and what that leads to.
void Controller::settle() {
  if (!complete_) return;
  // Before the first instance leaves the turn.
  if (held_said_ != lifecycle_.held()) {
    held_said_ = lifecycle_.held();
    tell_worker(Hold{.held = held_said_});
  }
  for (std::vector<Action> actions = lifecycle_.take_actions(); !actions.empty();
       actions = lifecycle_.take_actions()) {
    for (const Action& action : actions) carry_out(action);
    end_together();
  }
  const std::optional<Time> next = stopping_ ? std::nullopt : lifecycle_.next();
  if (next) reactor_.timers().arm(tick_timer_, *next);
  consider_serving();
}

// The site and the instances that answer for it change together.
void Controller::begin_together() {
  together_ = true;
  tell_worker(Together{.begins = 1});
}

void Controller::end_together() {
  if (std::exchange(together_, false)) tell_worker(Together{.begins = 0});
}

void Controller::carry_out(const Action& action) {
  SignalInstance signal{.slot = action.slot, .generation = action.generation};
  switch (action.kind) {
    case Action::Kind::kStart:
      return start_instance(action.slot, action.generation);
    case Action::Kind::kPublish:
      return publish(action.slot, action.generation);
    case Action::Kind::kNote:
      return note(action.slot, action.generation);
    case Action::Kind::kWithdraw: {
      InstanceUpdate update{.slot = action.slot, .generation = action.generation};
      update.state = InstanceState::kDown;
      (void)update.name.set(instance_name(action.slot));
      return tell_worker(update);
    }
    case Action::Kind::kTerminate:
      note(action.slot, action.generation);
      [[fallthrough]];
    case Action::Kind::kKill:
      signal.signal = action.kind == Action::Kind::kKill ? SIGKILL : SIGTERM;
      if (!stopping_) tell_supervisor(signal);
      return;
    case Action::Kind::kSwitched:
      begin_together();
      return switched();
    case Action::Kind::kSwitchFailed:
      return switch_failed(action);
    case Action::Kind::kWentBack:
      begin_together();
      return went_back();
    case Action::Kind::kHeld:
      return backups_.app_held();
    case Action::Kind::kReleased:
      return backups_.app_up();
    default:
      return say(action);
  }
}

void Controller::say(const Action& action) {
  const std::string name = log_name(action.slot, action.generation);
  const auto note = [&](const char* text) {
    log_.error(text, {{"instance", name}});
    app_log_.write(name, text);
  };
  switch (action.kind) {
    case Action::Kind::kTimedOut:
      return note("not healthy within start_timeout: it is stopped");
    case Action::Kind::kUnhealthy:
      return note("its health checks have failed for too long: it is replaced");
    case Action::Kind::kCrashLoop: {
      const SlotMemory& memory = memory_[action.slot];
      const std::string last = memory.last_output.empty() ? "" : memory.last_output.back();
      log_.error("a crash loop: it ended five times within a minute",
                 {{"instance", name}, {"last_exit", memory.last_exit}, {"last_output", last}});
      app_log_.write(name,
                     "a crash loop: it ended five times within a minute, last with " + memory.last_exit);
      return;
    }
    case Action::Kind::kRollFailed:
      roll_problem_ = why_failed(action.slot, action.generation);
      note("its replacement did not become healthy: the old instances stay");
      [[fallthrough]];
    case Action::Kind::kRolled:
      roll_result_ = action.kind == Action::Kind::kRolled;
      rolled_.set();
      rolled_.reset();
      return;
    default:
      return;
  }
}

// Why a candidate was given up.
std::string Controller::why_failed(uint32_t slot, uint32_t generation) {
  const std::string name = instance_name(slot);
  if (generation == 0) return "it was given up";
  if (instances_.contains({slot, generation})) return name + " was not healthy within start_timeout";
  return fmt::format("{} ended before it was healthy: {}", name, memory_[slot].last_exit);
}

// Members of another recipe than the wanted one serve, and nothing is done about it.
std::string Controller::app_problem() const {
  if (runs_without_app()) return migrate_problem_;
  const bool outdated = std::ranges::any_of(lifecycle_.slots(), [this](const app::Lifecycle::Slot& place) {
    return place.current && place.current->recipe != lifecycle_.plan().recipe;
  });
  return outdated && !lifecycle_.rolling() ? roll_problem_ : "";
}

// ---- starting

void Controller::start_instance(uint32_t slot, uint32_t generation) {
  const Result<void> asked = ask_for_instance(slot, generation);
  if (asked) return;
  InstanceEnded ended{.slot = slot, .generation = generation};
  (void)ended.error.set(std::string_view(describe(asked.error())).substr(0, 255));
  handle_ended(ended);
}

Result<void> Controller::ask_for_instance(uint32_t slot, uint32_t generation) {
  const Member* member = lifecycle_.find(slot, generation);
  const topology::Site& site = member == nullptr ? *site_ : site_of(*member);
  started_from_[{slot, generation}] = member == nullptr ? releases_.current() : release_of(*member);
  ListenPlace place;
  if (site.app.socket == topology::AppSocket::kUnix) {
    place.socket = fmt::format("{}/app/{}-{}.sock", folders_.run, slot + 1, generation);
  } else {
    const auto is_ours = [this](uint16_t port) {
      return std::ranges::any_of(places_, [port](const auto& each) { return each.second.port == port; });
    };
    const Result<uint16_t> port = free_port(reactor_.random(), is_ours);
    if (!port) return std::unexpected(port.error());
    place.port = *port;
  }
  places_[{slot, generation}] = place;
  const EnvironmentOptions options{
      .root = welcome_.privileged != 0, .state_folder = folders_.state, .own = ::getenv};
  const Result<StartInstance> record =
      start_record(site, instance_environment(site, place, options), place, slot, generation);
  if (!record) return std::unexpected(record.error());
  tell_supervisor(*record);
  return {};
}

InstanceUpdate Controller::update_of(uint32_t slot, uint32_t generation, const Member& member) const {
  InstanceUpdate update{
      .slot = slot, .generation = generation, .state = state_of(member.phase), .recipe = member.recipe};
  if (const auto place = places_.find({slot, generation}); place != places_.end()) {
    update.port = place->second.port;
    (void)update.socket.set(place->second.socket);
  }
  (void)update.name.set(instance_name(slot));
  update.release = release_of(slot, generation);
  return update;
}

void Controller::publish(uint32_t slot, uint32_t generation) {
  const Member* member = lifecycle_.find(slot, generation);
  if (member == nullptr) return;
  // Its next drain is one of its own.
  if (member->phase != MemberPhase::kDraining)
    std::erase_if(drained_but_for_them_,
                  [&](const Drained& each) { return each.slot == slot && each.generation == generation; });
  tell_worker(update_of(slot, generation, *member));
  note(slot, generation);
}

// To the supervisor as a tag, for our successor.
void Controller::note(uint32_t slot, uint32_t generation) {
  const Member* member = lifecycle_.find(slot, generation);
  if (member == nullptr) return;
  const InstanceTag tag{.phase = member->phase,
                        .replace = member->replace,
                        .recipe = member->recipe,
                        .release = release_of(slot, generation)};
  TagInstance record{.slot = slot, .generation = generation};
  std::memcpy(record.tag.bytes.data(), &tag, sizeof tag);
  tell_supervisor(record);
}

// ---- output

Task<void> Controller::read_output(std::shared_ptr<ManagedInstance> instance) {
  const Result<void> watched = instance->output_watch.start(reactor_, instance->output.get());
  if (!watched) co_return;
  instance->output_watch.readable = true;
  while (take_output(*instance)) {
    co_await yield(reactor_);
    co_await Readable(instance->output_watch);
  }
  instance->output_watch.stop();
  instance->output.reset();
}

// Reads what is there into the log; false at the end of the output.
bool Controller::take_output(ManagedInstance& instance) {
  bool open = true;
  for (int i = 0; i < kBlocksPerTurn && open; ++i) {
    const std::span<char> block = reactor_.scratch();
    const ssize_t n = ::read(instance.output.get(), block.data(), block.size());
    if (n < 0 && errno == EAGAIN) {
      instance.output_watch.readable = false;
      return true;
    }
    std::deque<std::string> lines;
    if (n > 0) lines = instance.lines.add({block.data(), static_cast<size_t>(n)});
    if (n <= 0) {
      open = false;
      if (std::string rest = instance.lines.take_rest(); !rest.empty()) lines.push_back(std::move(rest));
    }
    app_log_.write(instance.name, lines);
    for (std::string& line : lines) instance.last_lines.push_back(std::move(line));
    while (instance.last_lines.size() > kLastLines) instance.last_lines.pop_front();
  }
  return open;
}

// ---- health

const Member* Controller::member_of(const ManagedInstance& instance) const {
  return lifecycle_.find(instance.record.slot, instance.record.generation);
}

// Often while somebody waits for it to come up, later as the site file says.
Duration Controller::probe_pause(const ManagedInstance& instance) const {
  const Member* member = member_of(instance);
  const bool waited_for =
      member != nullptr && (member->phase == MemberPhase::kStarting || member->phase == MemberPhase::kUnwell);
  if (!waited_for) return site_->app.health_interval;
  return reactor_.now() - instance.started < seconds(5) ? milliseconds(25) : milliseconds(250);
}

Task<void> Controller::probe_while_running(std::shared_ptr<ManagedInstance> instance) {
  const uint32_t slot = instance->record.slot;
  const uint32_t generation = instance->record.generation;
  while (!site_) co_await instance->probe_now.wait(seconds(1));
  while (!instance->ended && !stopping_ && is_probed(member_of(*instance))) {
    health::HttpProbe request{.address = address_of(instance->record),
                              .host = site_->site.domain.empty() ? "localhost" : site_->site.domain,
                              .path = site_->app.health,
                              .limit = site_->app.health_timeout};
    const Result<int> status = co_await health::probe(reactor_, std::move(request));
    if (instance->ended) co_return;
    const bool success = status && *status < 400;
    instance->last_probe =
        status ? fmt::format("answers {}", *status) : "has no answer, " + describe(status.error());
    // Before its first success an instance has no health that it could lose.
    const bool unknown = instance->health.state() == health::Health::kUnknown;
    if ((success || !unknown) && instance->health.probed(success)) {
      const bool healthy = instance->health.state() == health::Health::kHealthy;
      if (healthy) {
        lifecycle_.healthy(slot, generation, reactor_.now());
      } else {
        log_.warning("an instance fails its health checks", {{"instance", instance->name}});
        lifecycle_.unhealthy(slot, generation, reactor_.now());
      }
      settle();
    }
    co_await instance->probe_now.wait(probe_pause(*instance));
  }
}

}  // namespace terrace::program

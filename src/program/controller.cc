#include "program/controller.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "lb/backend_set.h"
#include "lb/pool.h"
#include "program/entry.h"
#include "program/process_title.h"
#include "program/terrace_log.h"
#include "program/text_descriptor.h"

namespace terrace::program {
namespace {

constexpr size_t kReloadsWaitingMax = 4;

// Who gets requests, and who does not any more: what people look for afterwards. `before` is
// null for a backend that is new.
void log_standing(const Log& log, const BackendStanding* before, const BackendStanding& now) {
  const auto state = static_cast<lb::State>(now.state);
  const bool well = lb::is_well(state);
  const bool was_well = before == nullptr || lb::is_well(static_cast<lb::State>(before->state));
  if (well ? was_well : before != nullptr && before->state == now.state) return;
  // Nobody has looked at it yet.
  if (before == nullptr && now.reason.view().empty()) return;
  const std::string text = fmt::format("a backend is {}", well ? "up" : lb::name_of(state));
  const std::initializer_list<LogField> fields{
      {"backend", now.backend.view()}, {"pool", now.pool.view()}, {"reason", now.reason.view()}};
  const bool bad = state == lb::State::kDown || state == lb::State::kEjected;
  bad ? log.warning(text, fields) : log.info(text, fields);
}

}  // namespace

Controller::Controller(Reactor& reactor, Log& log)
    : reactor_(reactor),
      log_(log),
      secrets_answered_(reactor),
      write_answered_(reactor),
      listener_answered_(reactor),
      reload_now_(reactor),
      reloaded_(reactor),
      tick_timer_(*this),
      app_log_(reactor.clock()),
      jobs_(reactor, scope_, app_log_, *this),
      log_keeper_(log),
      backups_(reactor, scope_, log_, jobs_, *this),
      rolled_(reactor),
      upgrade_answered_(reactor),
      release_answered_(reactor) {}

Result<void> Controller::start() {
  supervisor_.socket = Descriptor(kSupervisorChannel);
  if (Result<void> watched = supervisor_.watch.start(reactor_, kSupervisorChannel); !watched) return watched;
  supervisor_.watch.readable = true;
  scope_.spawn(read_supervisor());
  scope_.spawn(reload_when_asked());
  scope_.spawn(note_figures());
  scope_.spawn(look_after_writes());
  return {};
}

// ---- the supervisor

Task<void> Controller::read_supervisor() {
  for (;;) {
    Result<Received> received = receive_record(supervisor_.socket.get());
    if (received) {
      handle(*received);
      settle();
      continue;
    }
    if (received.error().code != Code::kWouldBlock) leave();
    supervisor_.watch.readable = false;
    co_await Readable(supervisor_.watch);
  }
}

void Controller::handle(Received& received) {
  if (const auto welcome = received.as<Welcome>()) return handle_welcome(*welcome);
  if (const auto site = received.as<Site>()) return restore(*site, received.take_descriptor());
  if (const auto secrets = received.as<Secrets>()) {
    secrets_ = {.error = secrets->system, .packed = received.take_descriptor()};
    return;
  }
  if (const auto reload = received.as<Reload>()) return handle_reload(*reload, received.take_descriptor());
  if (const auto listener = received.as<Listener>()) return handle_listener(*listener);
  if (const auto failed = received.as<ListenFailed>()) return handle_listen_failed(*failed);
  if (const auto running = received.as<InstanceRunning>()) {
    if (running->slot >= kSlotsMax) return jobs_.handle(*running, received.take_descriptor());
    return handle_running(*running, received.take_descriptor());
  }
  if (const auto ended = received.as<InstanceEnded>()) {
    return ended->slot >= kSlotsMax ? jobs_.handle(*ended) : handle_ended(*ended);
  }
  if (const auto written = received.as<Written>()) {
    written_[written->id] = *written;
    return write_answered_.set();
  }
  if (const auto secrets = received.as<SecretsRead>()) {
    secrets_read_ = {.error = secrets->system, .packed = received.take_descriptor()};
    return secrets_answered_.set();
  }
  if (const auto folder = received.as<ReleaseFolder>()) return handle_release_folder(*folder);
  if (received.as<Complete>()) return handle_complete();
  if (const auto started = received.as<WorkerStarted>()) {
    worker_started_ = *started;
    return;
  }
  if (const auto retiring = received.as<WorkersRetiring>()) return handle_retiring(retiring->count);
  if (const auto member = received.as<MemberStarted>()) {
    member_started_ = *member;
    return;
  }
  if (const auto refused = received.as<UpgradeRefused>()) {
    upgrade_refused_ = refused->why.view();
    upgrade_answered_.set();
    return;
  }
  if (received.as<Peer>()) return connect_worker(received.take_descriptor());
  if (received.as<Stop>()) return handle_stop();
  log_.error("a record of unknown kind", {{"kind", static_cast<int64_t>(received.kind())}});
}

void Controller::handle_welcome(const Welcome& welcome) {
  welcome_ = welcome;
  jobs_.begin(welcome.starts);
  folders_ = {.state = std::string(welcome.state.view()),
              .run = std::string(welcome.run.view()),
              .log = std::string(welcome.log.view())};
  load_releases();
  backups_.begin(folders_);
  terrace_log_ = copy_to_terrace_log(log_, folders_.log);
  if (const Result<void> opened = app_log_.open(folders_.log + "/app.log"); !opened)
    log_.error("cannot open the app's log", {{"error", describe(opened.error())}});
  if (const Result<void> opened = open_control_socket(); !opened)
    log_.error("cannot open the control socket",
               {{"path", control_socket(folders_)}, {"error", describe(opened.error())}});
}

void Controller::handle_reload(const Reload& record, Descriptor file) {
  ++reloads_received_;
  ask_for_reload({.error = record.system,
                  .file = std::move(file),
                  .secrets = std::exchange(secrets_, {}),
                  .offer = nullptr});
}

void Controller::ask_for_reload(AskedReload asked) {
  if (reloads_.size() >= kReloadsWaitingMax) {
    if (const std::shared_ptr<Offer> offer = reloads_.front().offer) {
      offer->result = {.text = "error: too many changes at once\n"};
      offer->done.set();
    } else {
      ++reloads_done_;
    }
    reloads_.pop_front();
  }
  reloads_.push_back(std::move(asked));
  reload_now_.ring();
}

// All that was before us is known now.
void Controller::handle_complete() {
  complete_ = true;
  if (site_) want_member();
  // Who listens nowhere was drained: the controller before us did that.
  const auto for_visitors = [](const auto& each) { return takes_visitors(each.purpose); };
  if (site_)
    drained_ = std::ranges::any_of(addresses_of(*site_, own_entry(*site_)), for_visitors) &&
               std::ranges::none_of(listeners_, for_visitors);
  std::vector<AdoptedInstance> all = std::exchange(adopted_, {});
  migrated_ = !all.empty() || releases_.current() != 0;
  if (!releases_readable_) find_release_that_serves(all);
  for (const AdoptedInstance& adopted : all) adopt(adopted);
  if (backups_.interrupted()) {
    lifecycle_.hold(reactor_.now());
    backups_.resume();
  }
  configure_app();
  for (AdoptedInstance& adopted : all) take_over(std::move(adopted));
  for (const InstanceEnded& ended : std::exchange(ended_before_, {})) handle_ended(ended);
  scope_.spawn(clean_up_releases());
}

Controller::ListenerState* Controller::listener(Purpose purpose, std::string_view requested) {
  const auto found = std::ranges::find_if(listeners_, [&](const ListenerState& each) {
    return each.purpose == purpose && each.requested == requested;
  });
  return found == listeners_.end() ? nullptr : &*found;
}

void Controller::handle_listener(const Listener& record) {
  ListenerState* state = listener(record.purpose, record.requested.view());
  if (state == nullptr) {
    listeners_.push_back({.purpose = record.purpose, .requested = std::string(record.requested.view())});
    state = &listeners_.back();
  }
  state->bound = record.bound.view();
  state->error = 0;
  listener_answered_.set();
}

void Controller::handle_listen_failed(const ListenFailed& record) {
  if (ListenerState* state = listener(record.purpose, record.requested.view())) {
    state->error = record.system != 0 ? record.system : EINVAL;
    state->bound.clear();
  }
  listener_answered_.set();
}

void Controller::start_job(const StartInstance& record, int input) { tell_supervisor(record, input); }

void Controller::signal_job(const SignalInstance& record) { tell_supervisor(record); }

void Controller::handle_stop() {
  stopping_ = true;
  tick_timer_.disarm();
  lifecycle_.stop();
}

// A worker of before an upgrade says nothing about its requests: while there is one, an
// instance drains as long as it may.
void Controller::handle_retiring(uint32_t count) {
  retiring_ = count;
  if (count > 0) return;
  for (const Drained& each : std::exchange(drained_but_for_them_, {}))
    lifecycle_.drained(each.slot, each.generation, reactor_.now());
}

void Controller::leave() {
  for (const auto& [key, instance] : instances_) take_output(*instance);
  std::_Exit(0);
}

// ---- the worker

void Controller::connect_worker(Descriptor socket) {
  auto link = std::make_shared<Link>();
  link->socket = std::move(socket);
  if (const Result<void> watched = link->watch.start(reactor_, link->socket.get()); !watched) {
    log_.error("cannot watch the worker's channel", {{"error", describe(watched.error())}});
    return;
  }
  link->watch.readable = true;
  worker_ = link;
  worker_site_ = 0;
  stats_.reset();
  standings_.clear();
  scope_.spawn(read_worker(std::move(link)));
  if (site_ && complete_) tell_worker_everything();
}

Task<void> Controller::read_worker(std::shared_ptr<Link> link) {
  for (;;) {
    Result<Received> received = receive_record(link->socket.get());
    if (received) {
      handle_worker(*received);
      settle();
      continue;
    }
    if (received.error().code != Code::kWouldBlock) break;
    link->watch.readable = false;
    co_await Readable(link->watch);
  }
  link->watch.stop();
  if (worker_ == link) worker_.reset();
}

void Controller::handle_worker(Received& received) {
  const Time now = reactor_.now();
  if (const auto taken = received.as<SiteTaken>()) {
    if (taken->refused != 0) {
      log_.error("the worker refused the site", {{"version", static_cast<int64_t>(taken->version)}});
    } else {
      worker_site_ = taken->version;
      tell_supervisor(WorkerServes{.starts = worker_started_.starts});
    }
    return consider_serving();
  }
  if (const auto drained = received.as<Drained>()) {
    if (retiring_ == 0) return lifecycle_.drained(drained->slot, drained->generation, now);
    drained_but_for_them_.push_back(*drained);
    return;
  }
  if (const auto failed = received.as<InstanceFailed>()) {
    const auto found = instances_.find({failed->slot, failed->generation});
    if (found != instances_.end()) found->second->probe_now.ring();
    return;
  }
  if (const auto standing = received.as<BackendStanding>()) return handle_standing(*standing);
  if (const auto stats = received.as<Stats>()) stats_ = *stats;
}

// A pool is told whole, one backend after the other: each takes the place that it had, and
// who was not told again is gone.
void Controller::handle_standing(const BackendStanding& record) {
  std::vector<BackendStanding>& pool = standings_[std::string(record.pool.view())];
  const auto before = std::ranges::find_if(
      pool, [&](const BackendStanding& one) { return one.backend.view() == record.backend.view(); });
  log_standing(log_, before == pool.end() ? nullptr : &*before, record);
  if (before != pool.end()) pool.erase(before);
  if (pool.size() < 2 * lb::kBackendsMax) pool.push_back(record);
  const bool last = record.index + 1 >= record.count;
  const size_t told = std::min<size_t>(record.count, lb::kBackendsMax);
  if (last && pool.size() > told) pool.erase(pool.begin(), pool.end() - static_cast<ptrdiff_t>(told));
}

// The site, then each instance, then "that is all": what a new worker needs, and an
// old one may hear again.
void Controller::tell_worker_everything() {
  if (!worker_ || !release_known_) return;
  tell_worker_site();
  tell_worker(Hold{.held = held_said_});
  tell_worker(Drain{.drains = drained_ ? 1U : 0U});
  for (uint32_t slot = 0; slot < lifecycle_.slots().size(); ++slot) {
    const app::Lifecycle::Slot& place = lifecycle_.slots()[slot];
    if (place.current) publish(slot, place.current->generation);
    if (place.candidate) publish(slot, place.candidate->generation);
    if (place.standby) publish(slot, place.standby->generation);
    for (const app::Member& member : place.retiring) {
      if (member.phase == app::MemberPhase::kDraining) publish(slot, member.generation);
    }
  }
  backups_.publish();
  tell_worker(Complete{});
}

void Controller::tell_worker_site() {
  const std::string resolved = topology::resolved_text(awaits_release() ? without_release(*site_) : *site_);
  const Result<Descriptor> text = make_text_descriptor(resolved);
  if (!text) {
    log_.error("cannot hand the site to the worker", {{"error", describe(text.error())}});
    return;
  }
  Site record{.version = version_,
              .bytes = resolved.size(),
              .path = welcome_.site_path,
              .release = releases_.current(),
              .balances = balances(*site_) ? 1U : 0U};
  (void)record.server.set(own_name(*site_));
  tell_worker(record, text->get());
}

// ---- the process

int run_controller(int argc, char** argv) {
  Log log("controller");
  own_process_title(argc, argv);
  set_process_title("terrace: controller");
  ::signal(SIGPIPE, SIG_IGN);
  ::umask(027);
  // It knows the secrets of the site. The worker has the same user and must find them
  // neither in our memory nor among our descriptors, and nobody in a core file.
  ::prctl(PR_SET_DUMPABLE, 0);
  const SystemClock clock;
  const Result<std::unique_ptr<Reactor>> reactor = Reactor::create(clock, {});
  if (!reactor) {
    log.error("cannot make a reactor", {{"error", describe(reactor.error())}});
    return 1;
  }
  // Never unwound: it leaves with the supervisor's channel.
  auto* controller = new Controller(**reactor, log);
  if (const Result<void> started = controller->start(); !started) {
    log.error("started without a supervisor", {{"error", describe(started.error())}});
    std::_Exit(1);
  }
  (*reactor)->run();
  std::_Exit(1);
}

}  // namespace terrace::program

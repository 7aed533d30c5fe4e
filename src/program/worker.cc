// The worker: the data plane. Its main thread reads the records of the supervisor
// and the controller and passes them on to the cores, one thread each.
//
// The key of the hop is in its memory, so it is not dumpable (PR_SET_DUMPABLE(2const)): no core
// file holds the key, and no other process of the same user reads it by /proc/PID/mem or ptrace(2):
// not the controller, nor, where nobody is root, the application. The price is that a crash leaves
// no core file; root may still attach a debugger. What the worker reads of itself (/proc/self/stat,
// /proc/self/fd) is open to it all the same, and no other process of ours looks into it.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/random.h"
#include "lb/client_table.h"
#include "lb/plan.h"
#include "monitor/exposition.h"
#include "program/channel.h"
#include "program/core.h"
#include "program/entry.h"
#include "program/instance_tally.h"
#include "program/log_appender.h"
#include "program/privileges.h"
#include "program/process_title.h"
#include "program/terrace_log.h"
#include "program/traffic_credentials.h"
#include "program/version.h"
#include "reactor/mailbox.h"
#include "topology/load.h"

namespace terrace::program {
namespace {

constexpr size_t kSiteBytesMax = 1 << 20;
// How long a rotated access log is still written, at most.
constexpr Duration kLookInterval = std::chrono::milliseconds(500);
// How long a worker that follows another one waits for its credentials before it serves without:
// several starts of a member. Until then the one before serves on, if it lives.
constexpr Duration kCredentialsLimit = std::chrono::seconds(10);

static_assert(kRetireSignal == SIGUSR2);

// Before the first thread, so that all of them leave the signal to the descriptor.
Descriptor take_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, kRetireSignal);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  return Descriptor(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

class Worker final : public CoreEvents {
 public:
  Worker() : log_("worker"), events_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  int run();

  // CoreEvents, from the cores' threads.
  void core_took_site(uint32_t version, bool refused) override;
  void core_drained(size_t core, uint32_t slot, uint32_t generation) override;
  void core_failed(uint32_t slot, uint32_t generation, uint32_t failures) override;
  void core_suspects(const std::string& pool, const std::string& backend) override;
  void core_judges(const std::string& pool, const std::string& backend, lb::Verdict verdict) override;
  void core_decided(const std::string& pool, const std::vector<lb::Standing>& standings) override;
  void core_stopped() override;
  std::string metrics_page() override;

 private:
  struct CoreThread {
    std::unique_ptr<Reactor> reactor;
    std::unique_ptr<Core> core;
    std::thread thread;
    std::vector<std::function<void(Core&)>> together;  // not passed on yet
  };
  struct HeldSite {
    std::shared_ptr<const topology::Site> site;
    Core::SiteHere here;
  };
  // What cores said and the main thread has not handled yet.
  struct DrainedCore {
    size_t core = 0;
    Drained record;
  };
  struct Said {
    std::vector<SiteTaken> sites;
    std::vector<DrainedCore> drained;
    std::vector<InstanceFailed> failed;
    std::set<std::string> decided;  // pools whose backends' standings have changed
    size_t stopped = 0;
  };

  bool start_cores(const Welcome& welcome);
  void read_channel(int channel, bool supervisor);
  void take_peer(Descriptor channel, Process with);
  void read_member();
  void take_credentials(const Descriptor& text);
  void handle(Received& message);
  void take_site(Received& message, const Site& record);
  bool waits_for_credentials(const topology::Site& site) const;
  void serve_site(const HeldSite& held);
  void end_wait_for_credentials();
  void update_instance(const InstanceUpdate& record);
  void add_listener(Received& message, const Listener& record);
  void answer_stats(const StatsRequest& request);
  void look_at_access_log();
  int wait_milliseconds() const;
  void take_backup_report(const BackupReport& record);
  void pass_on_what_cores_said();
  void say_everything_decided();
  void tell_standings(const std::string& pool, const std::vector<lb::Standing>& standings);
  void read_signals();
  void wake();
  template <class T>
  void tell_controller(const T& record);
  template <class Action>
  void on_cores(Action action);
  template <class Action>
  void on_core(CoreThread& one, Action action);
  void end_together();
  void forget_together();
  void join_cores();

  Log log_;
  std::unique_ptr<TerraceLog> terrace_log_;
  SystemClock clock_;
  Welcome welcome_;
  Descriptor controller_;
  Descriptor member_;  // none where the site has one server
  Descriptor events_;
  Descriptor signals_;
  std::unique_ptr<lb::ClientTable> clients_;  // of all cores, which use it at any time; null: not needed yet
  std::vector<CoreThread> cores_;
  std::mutex mutex_;  // what follows; not taken for requests
  Said said_;
  InstanceTally tally_;
  std::string site_name_;
  std::optional<monitor::BackupMetrics> backup_;
  std::map<std::string, std::vector<lb::Standing>> decided_;  // of each pool of the load balancer
  // Main thread only.
  std::map<std::pair<uint32_t, uint32_t>, std::set<size_t>> drained_;  // cores that are done with it
  std::map<uint32_t, std::pair<size_t, bool>> taken_;                  // site version: cores, any refused
  size_t stopped_ = 0;
  bool together_ = false;
  bool stopping_ = false;
  bool supervisor_gone_ = false;
  certificates::Revocations revoked_;  // that the member has said
  bool has_credentials_ = false;
  bool serves_ = false;                // the cores have a site
  std::optional<HeldSite> held_site_;  // until there are credentials, or
  Time held_until_;
  LogAppender access_log_;
  bool access_log_wanted_ = false;
  int access_log_error_ = 0;  // errno of the last attempt to open it
  Time access_log_looked_;
  uint32_t site_version_ = 0;
};

template <class T>
void Worker::tell_controller(const T& record) {
  if (!controller_) return;  // a new controller hears everything anew
  const Result<void> sent = send_record(controller_.get(), record);
  if (!sent) controller_.reset();
}

template <class Action>
void Worker::on_cores(Action action) {
  for (CoreThread& one : cores_) on_core(one, action);
}

template <class Action>
void Worker::on_core(CoreThread& one, Action action) {
  if (together_) {
    one.together.push_back(std::move(action));
  } else {
    submit(*one.reactor, [core = one.core.get(), action] { action(*core); });
  }
}

void Worker::end_together() {
  together_ = false;
  for (CoreThread& one : cores_) {
    if (one.together.empty()) continue;
    submit(*one.reactor, [core = one.core.get(), actions = std::exchange(one.together, {})] {
      for (const auto& action : actions) action(*core);
    });
  }
}

// Half of it is of no use: the next controller says everything again.
void Worker::forget_together() {
  together_ = false;
  for (CoreThread& one : cores_) one.together.clear();
}

// ---- from the cores -------------------------------------------------------------

void Worker::wake() {
  const uint64_t one = 1;
  (void)!::write(events_.get(), &one, sizeof one);
}

void Worker::core_took_site(uint32_t version, bool refused) {
  const std::lock_guard lock(mutex_);
  said_.sites.push_back({.version = version, .refused = refused});
  wake();
}

void Worker::core_drained(size_t core, uint32_t slot, uint32_t generation) {
  const std::lock_guard lock(mutex_);
  said_.drained.push_back({.core = core, .record = {.slot = slot, .generation = generation}});
  wake();
}

void Worker::core_failed(uint32_t slot, uint32_t generation, uint32_t failures) {
  const std::lock_guard lock(mutex_);
  said_.failed.push_back({.slot = slot, .generation = generation, .failures = failures});
  wake();
}

// From core to core, without the main thread.
void Worker::core_suspects(const std::string& pool, const std::string& backend) {
  CoreThread& first = cores_.front();
  submit(*first.reactor, [core = first.core.get(), pool, backend] { core->suspect_backend(pool, backend); });
}

void Worker::core_judges(const std::string& pool, const std::string& backend, lb::Verdict verdict) {
  CoreThread& first = cores_.front();
  submit(*first.reactor,
         [core = first.core.get(), pool, backend, verdict] { core->judge_backend(pool, backend, verdict); });
}

void Worker::core_decided(const std::string& pool, const std::vector<lb::Standing>& standings) {
  for (const CoreThread& one : cores_) {
    submit(*one.reactor, [core = one.core.get(), pool, standings] { core->take_decision(pool, standings); });
  }
  const std::lock_guard lock(mutex_);
  if (standings.empty())
    decided_.erase(pool);
  else
    decided_[pool] = standings;
  said_.decided.insert(pool);
  wake();
}

// To a new controller.
void Worker::say_everything_decided() {
  std::map<std::string, std::vector<lb::Standing>> decided;
  {
    const std::lock_guard lock(mutex_);
    decided = decided_;
  }
  for (const auto& [pool, standings] : decided) tell_standings(pool, standings);
}

void Worker::tell_standings(const std::string& pool, const std::vector<lb::Standing>& standings) {
  BackendStanding record{.count = static_cast<uint32_t>(standings.size())};
  (void)record.pool.set(pool);
  for (const lb::Standing& one : standings) {
    (void)record.backend.set(one.name);
    record.state = static_cast<uint32_t>(one.state);
    record.standby = one.standby ? 1 : 0;
    record.weight = one.weight;
    record.since_ns = Duration(one.since.time_since_epoch()).count();
    (void)record.reason.set(std::string_view(one.reason).substr(0, record.reason.bytes.size() - 1));
    tell_controller(record);
    ++record.index;
  }
}

void Worker::core_stopped() {
  const std::lock_guard lock(mutex_);
  ++said_.stopped;
  wake();
}

void Worker::pass_on_what_cores_said() {
  uint64_t count = 0;
  (void)!::read(events_.get(), &count, sizeof count);
  Said said;
  std::map<std::string, std::vector<lb::Standing>> decided;
  {
    const std::lock_guard lock(mutex_);
    std::swap(said, said_);
    for (const std::string& pool : said.decided) {
      if (const auto found = decided_.find(pool); found != decided_.end()) decided.insert(*found);
    }
  }
  stopped_ += said.stopped;
  for (const SiteTaken& one : said.sites) {
    auto& [cores, refused] = taken_[one.version];
    refused |= one.refused != 0;
    if (++cores < cores_.size()) continue;
    if (!refused) site_version_ = one.version;
    tell_controller(SiteTaken{.version = one.version, .refused = refused});
    taken_.erase(one.version);
  }
  for (const auto& [core, record] : said.drained) {
    const std::pair key(record.slot, record.generation);
    std::set<size_t>& done = drained_[key];
    done.insert(core);
    if (done.size() < cores_.size()) continue;
    drained_.erase(key);
    tell_controller(record);
  }
  for (const InstanceFailed& one : said.failed) tell_controller(one);
  for (const auto& [pool, standings] : decided) tell_standings(pool, standings);
}

// ---- from the supervisor and the controller -------------------------------------

// The kernel doubles the table of a process's descriptors when it is full. Where threads share
// it, whoever asked for one more waits for a grace period of RCU (fs/file.c, expand_fdtable),
// 15 to 20 ms in which a core serves nobody: so room is made while there is one thread.
void make_room_for_descriptors() {
  constexpr rlim_t kDescriptors = 32768;  // 8 bytes each
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const auto last = static_cast<int>(std::min(limit.rlim_cur, kDescriptors)) - 1;
  const Descriptor closed_at_once(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, last));
}

bool Worker::start_cores(const Welcome& welcome) {
  make_room_for_descriptors();
  welcome_ = welcome;
  const int count = static_cast<int>(std::max<uint32_t>(1, welcome.cores));
  tally_ = InstanceTally(static_cast<size_t>(count));
  access_log_ = LogAppender(std::string(welcome.log.view()) + "/access.log");
  const topology::Machine machine{.cores = count, .memory_bytes = welcome.memory_bytes};
  const size_t buffers_max = topology::derive({}, machine).buffers_max;
  constexpr int kStickyBytes = 16;  // twice as many digits
  const std::string sticky_secret = random_secret(kStickyBytes);
  for (int i = 0; i < count; ++i) {
    const Core::Options options{.index = static_cast<size_t>(i),
                                .machine = machine,
                                .sticky_secret = sticky_secret,
                                .follows = welcome.starts > 1};
    Result<std::unique_ptr<Reactor>> reactor = Reactor::create(clock_, {.buffers_max = buffers_max});
    if (!reactor) {
      log_.error("cannot make a reactor", {{"error", describe(reactor.error())}});
      return false;
    }
    CoreThread one;
    one.reactor = std::move(*reactor);
    one.core = std::make_unique<Core>(*one.reactor, *this, options, log_);
    one.core->start();
    cores_.push_back(std::move(one));
  }
  for (CoreThread& one : cores_) one.thread = std::thread([reactor = one.reactor.get()] { reactor->run(); });
  return true;
}

// All that one channel has to say at the moment.
void Worker::read_channel(int channel, bool supervisor) {
  for (;;) {
    Result<Received> message = receive_record(channel);
    if (message) {
      handle(*message);
      // Closed or replaced meanwhile: its number may belong to a client by now.
      if (!supervisor && channel != controller_.get()) return;
      continue;
    }
    if (message.error().code == Code::kWouldBlock) return;
    if (supervisor) {
      supervisor_gone_ = true;
    } else {
      controller_.reset();
      forget_together();
    }
    return;
  }
}

void Worker::take_peer(Descriptor channel, Process with) {
  if (with == Process::kMember) {
    member_ = std::move(channel);
    return;
  }
  forget_together();
  controller_ = std::move(channel);
  say_everything_decided();
  on_cores([](Core& core) { core.mark_instances(); });
}

// What it has said stays when it is gone.
void Worker::read_member() {
  for (;;) {
    Result<Received> message = receive_record(member_.get());
    if (!message && message.error().code != Code::kWouldBlock) member_.reset();
    if (!message) return;
    if (message->as<TrafficCredentials>()) {
      take_credentials(message->take_descriptor());
    } else {
      log_.warning("a record of unknown kind", {{"kind", static_cast<int64_t>(message->kind())}});
    }
  }
}

// The contexts are made once and shared; a core that is in the middle of a handshake keeps
// the one that it began with.
void Worker::take_credentials(const Descriptor& text) {
  Result<HopCredentials> made = read_hop_credentials(text.get(), clock_, revoked_);
  if (!made)
    return log_.error(
        "what this server shows to the site's other servers cannot be used; it keeps what it has",
        {{"error", describe(made.error())}});
  log_.info("new credentials for the traffic between servers",
            {{"serial", made->serial},
             {"authorities", static_cast<int64_t>(made->authorities)},
             {"revoked", static_cast<int64_t>(made->revoked)}});
  const auto credentials = std::make_shared<const HopCredentials>(*std::move(made));
  for (const CoreThread& one : cores_)
    submit(*one.reactor, [core = one.core.get(), credentials] { core->use_credentials(credentials); });
  has_credentials_ = true;
  end_wait_for_credentials();
}

void Worker::handle(Received& message) {
  switch (message.kind()) {
    case Kind::kPeer:
      if (const auto record = message.as<Peer>()) take_peer(message.take_descriptor(), record->with);
      return;
    case Kind::kListener:
      if (const auto record = message.as<Listener>()) add_listener(message, *record);
      return;
    case Kind::kListenerGone:
      if (const auto record = message.as<ListenerGone>()) {
        on_cores([gone = *record](Core& core) { core.remove_listener(gone.purpose, gone.requested.view()); });
      }
      return;
    case Kind::kStop:
      if (const auto record = message.as<Stop>()) {
        stopping_ = true;
        end_together();
        on_cores([limit = std::chrono::milliseconds(record->limit_ms)](Core& core) { core.stop(limit); });
      }
      return;
    case Kind::kSite:
      if (const auto record = message.as<Site>()) take_site(message, *record);
      return;
    case Kind::kInstanceUpdate:
      if (const auto record = message.as<InstanceUpdate>()) update_instance(*record);
      return;
    case Kind::kComplete:
      on_cores([](Core& core) { core.forget_unnamed_instances(); });
      return;
    case Kind::kHold:
      if (const auto record = message.as<Hold>())
        on_cores([held = record->held != 0](Core& core) { core.hold(held); });
      return;
    case Kind::kDrain:
      if (const auto record = message.as<Drain>())
        on_cores([drains = record->drains != 0](Core& core) { core.drain(drains); });
      return;
    case Kind::kBackupReport:
      if (const auto record = message.as<BackupReport>()) take_backup_report(*record);
      return;
    case Kind::kTogether:
      if (const auto record = message.as<Together>()) {
        end_together();
        together_ = record->begins != 0;
      }
      return;
    case Kind::kStatsRequest:
      if (const auto record = message.as<StatsRequest>()) answer_stats(*record);
      return;
    default:
      log_.warning("a record of unknown kind", {{"kind", static_cast<int64_t>(message.kind())}});
  }
}

// A successor serves, perhaps of another version: a signal is all that the two
// supervisors have in common to say it with. The second time: the site stops.
void Worker::read_signals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (std::exchange(stopping_, true)) {
      on_cores([](Core& core) { core.stop(kDrainLimit); });
      continue;
    }
    set_process_title("terrace: draining worker");
    on_cores([](Core& core) { core.retire(); });
  }
}

// The admin address belongs to the first core, the others to core index modulo cores.
void Worker::add_listener(Received& message, const Listener& record) {
  CoreThread& one = cores_[record.purpose == Purpose::kAdmin ? 0 : record.index % cores_.size()];
  const int socket = message.take_descriptor().release();
  submit(*one.reactor,
         [core = one.core.get(), record, socket] { core->add_listener(record, Descriptor(socket)); });
}

void Worker::take_site(Received& message, const Site& record) {
  const Descriptor memory = message.take_descriptor();
  std::string text(record.bytes <= kSiteBytesMax ? record.bytes : 0, 0);
  const bool read = ::pread(memory.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
  topology::LoadOptions options;
  options.resolve = topology::without_secrets;
  options.look_at_folders = false;
  options.wants_something_to_serve = false;
  const topology::LoadedSite loaded =
      topology::load_site_text(text, std::string(record.path.view()), options);
  if (!read || !loaded.site) {
    log_.error("cannot read the site that the controller sent", {{"text", loaded.text}});
    tell_controller(SiteTaken{.version = record.version, .refused = 1});
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    site_name_ = loaded.site->site.name;
  }
  access_log_wanted_ = loaded.site->web.access_log != topology::AccessLog::kOff;
  look_at_access_log();
  // It stays, whatever sites come: requests in flight are counted in it. The next worker begins anew.
  if (clients_ == nullptr && record.balances != 0 && lb::client_limits(loaded.site->lb).any())
    clients_ = std::make_unique<lb::ClientTable>(random_seed());
  const Core::SiteHere here{.version = record.version,
                            .release = record.release,
                            .balances = record.balances != 0,
                            .server = std::string(record.server.view()),
                            .clients = clients_.get()};
  const HeldSite taken{.site = loaded.site, .here = here};
  if (!waits_for_credentials(*loaded.site)) return serve_site(taken);
  if (!held_site_) held_until_ = clock_.now() + kCredentialsLimit;
  held_site_ = taken;
}

// Its listeners are closed until the first site is there, and the worker before it goes only when
// this one serves: without credentials each request would have to wait for them. A site that
// starts has nothing that serves better, and begins with what it has.
bool Worker::waits_for_credentials(const topology::Site& site) const {
  return !serves_ && !has_credentials_ && welcome_.starts > 1 && welcome_.joined != 0 &&
         has_role(site, topology::Role::kLb);
}

void Worker::serve_site(const HeldSite& held) {
  serves_ = true;
  held_site_.reset();
  on_cores([held](Core& core) { core.take_site(held.site, held.here); });
}

void Worker::end_wait_for_credentials() {
  if (!held_site_) return;
  if (!has_credentials_)
    log_.warning("this worker serves without credentials for the traffic between servers: none came in time");
  const HeldSite held = *std::exchange(held_site_, std::nullopt);
  serve_site(held);
}

// ---- the access log ----------------------------------------------------------------

int Worker::wait_milliseconds() const {
  return access_log_wanted_ || held_site_
             ? static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(kLookInterval).count())
             : -1;
}

// Opens access.log, or the new file of that name once the old one was moved away, and
// hands it to the cores: none of them touches a path.
void Worker::look_at_access_log() {
  access_log_looked_ = clock_.now();
  if (!access_log_wanted_ && access_log_.is_open()) {
    access_log_ = LogAppender(access_log_.path());
    on_cores([](Core& core) { core.use_access_file({}); });
  }
  if (!access_log_wanted_ || (access_log_.is_open() && !access_log_.was_moved())) return;
  const Result<void> opened = access_log_.open();
  const int error = opened ? 0 : opened.error().system;
  if (!opened && std::exchange(access_log_error_, error) != error)
    log_.error("cannot open the access log",
               {{"path", access_log_.path()}, {"error", describe(opened.error())}});
  if (!opened) return;
  access_log_error_ = 0;
  for (const CoreThread& one : cores_) {
    const int file = ::fcntl(access_log_.get(), F_DUPFD_CLOEXEC, 0);
    if (file >= 0)
      submit(*one.reactor, [core = one.core.get(), file] { core->use_access_file(Descriptor(file)); });
  }
}

void Worker::update_instance(const InstanceUpdate& record) {
  app::InstanceUpdate update{.slot = record.slot,
                             .generation = record.generation,
                             .state = static_cast<app::InstanceState>(record.state),
                             .address = {},
                             .name = std::string(record.name.view()),
                             .release = record.release,
                             .metrics = nullptr};
  if (record.port != 0) {
    update.address = net::Address::loopback(static_cast<uint16_t>(record.port));
  } else if (const Result<net::Address> local = net::Address::unix_socket(record.socket.view())) {
    update.address = *local;
  }
  drained_.erase({record.slot, record.generation});
  const std::lock_guard lock(mutex_);
  const InstanceTally::PerCore per_core = tally_.note(record);
  for (size_t i = 0; i < cores_.size(); ++i) {
    if (!per_core.empty()) update.metrics = per_core[i];
    on_core(cores_[i], [update](Core& core) { core.update_instance(update); });
  }
}

// ---- numbers ---------------------------------------------------------------------

void Worker::answer_stats(const StatsRequest& request) {
  monitor::RequestTotals totals;
  for (const CoreThread& one : cores_) totals.add(one.core->metrics().requests);
  Stats stats{.id = request.id,
              .connections = totals.connections_accepted,
              .connections_open = static_cast<uint64_t>(totals.connections),
              .requests = totals.requests_count(),
              .in_flight = static_cast<uint64_t>(totals.in_flight),
              .queued = static_cast<uint64_t>(totals.queue_length),
              .bytes_sent = totals.bytes_sent,
              .duration_ns = totals.duration.sum_nanoseconds,
              .site_version = site_version_};
  for (size_t i = 0; i < stats.statuses.size(); ++i) {
    for (const uint64_t count : totals.requests[i]) stats.statuses[i] += count;
  }
  const std::lock_guard lock(mutex_);
  tally_.write(stats);
  tell_controller(stats);
}

void Worker::take_backup_report(const BackupReport& record) {
  const std::lock_guard lock(mutex_);
  backup_ = {.success = record.success != 0,
             .good_seconds = static_cast<double>(record.good_seconds),
             .bytes = static_cast<uint64_t>(std::max<int64_t>(0, record.bytes)),
             .duration_seconds = static_cast<double>(record.duration_ms) / 1000};
}

std::string Worker::metrics_page() {
  monitor::SiteMetrics metrics;
  metrics.version = kVersion;
  for (const CoreThread& one : cores_) {
    metrics.requests.add(one.core->metrics().requests);
    metrics.access_lines_written += one.core->metrics().access_lines_written.get();
    metrics.access_lines_dropped += one.core->metrics().access_lines_dropped.get();
  }
  metrics.process = monitor::read_process_metrics();
  const std::lock_guard lock(mutex_);
  metrics.site = site_name_;
  metrics.backup = backup_;
  if (backup_ && backup_->good_seconds > 0) {
    const double now = std::chrono::duration<double>(clock_.wall().time_since_epoch()).count();
    metrics.backup->age_seconds = std::max(0.0, now - backup_->good_seconds);
  }
  metrics.instances = tally_.totals();
  for (const auto& [pool, standings] : decided_) {
    for (const lb::Standing& one : standings)
      metrics.backends.push_back({.pool = pool,
                                  .name = one.name,
                                  .up = lb::is_well(one.state),
                                  .standby = one.standby,
                                  .weight = one.weight});
  }
  std::string page;
  monitor::write_metrics(page, metrics);
  return page;
}

// ---- the process ------------------------------------------------------------------

void Worker::join_cores() {
  for (CoreThread& one : cores_) one.reactor->stop();
  for (CoreThread& one : cores_) one.thread.join();
}

int Worker::run() {
  const Log& log = log_;
  signals_ = take_signals();
  Result<Received> first = fail(Code::kWouldBlock, "welcome");
  while (!first && first.error().code == Code::kWouldBlock) {
    pollfd wait{.fd = kSupervisorChannel, .events = POLLIN, .revents = 0};
    ::poll(&wait, 1, -1);
    first = receive_record(kSupervisorChannel);
  }
  // Before the first thread: the filter holds for those that are started later.
  if (const Result<void> confined = refuse_new_processes(); !confined) {
    log.warning("the worker is not confined", {{"error", describe(confined.error())}});
  }
  const auto welcome = first ? first->as<Welcome>() : std::nullopt;
  if (welcome) terrace_log_ = copy_to_terrace_log(log_, std::string(welcome->log.view()));
  if (!welcome || !start_cores(*welcome)) {
    log.error("started without a supervisor");
    return 1;
  }
  while (!supervisor_gone_ && !(stopping_ && stopped_ == cores_.size())) {
    pollfd waits[] = {{.fd = kSupervisorChannel, .events = POLLIN, .revents = 0},
                      {.fd = events_.get(), .events = POLLIN, .revents = 0},
                      {.fd = controller_.get(), .events = POLLIN, .revents = 0},
                      {.fd = signals_.get(), .events = POLLIN, .revents = 0},
                      {.fd = member_.get(), .events = POLLIN, .revents = 0}};
    ::poll(waits, std::size(waits), wait_milliseconds());
    if (clock_.now() - access_log_looked_ >= kLookInterval) look_at_access_log();
    if (held_site_ && clock_.now() >= held_until_) end_wait_for_credentials();
    if (waits[1].revents != 0) pass_on_what_cores_said();
    if (controller_ && waits[2].revents != 0) read_channel(controller_.get(), false);
    if (member_ && waits[4].revents != 0) read_member();
    if (waits[0].revents != 0) read_channel(kSupervisorChannel, true);
    if (waits[3].revents != 0) read_signals();
  }
  join_cores();
  // The cores are stopped in the middle of their periodic work: leave without
  // unwinding it.
  std::_Exit(0);
}

}  // namespace

int run_worker(int argc, char** argv) {
  own_process_title(argc, argv);
  set_process_title("terrace: worker");
  (void)::prctl(PR_SET_DUMPABLE, 0);
  return Worker().run();
}

}  // namespace terrace::program

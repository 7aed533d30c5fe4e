#include "program/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "program/announcement.h"
#include "program/entry.h"
#include "program/instance_init.h"
#include "program/machine.h"
#include "program/output.h"
#include "program/process_title.h"
#include "program/release_folders.h"
#include "program/service_notice.h"
#include "program/site_folders.h"
#include "program/terrace_log.h"
#include "program/text_descriptor.h"

namespace terrace::program {
namespace {

// Who pressed Ctrl-C is waiting.
constexpr std::chrono::seconds kInterruptLimit{3};
// How long the controller may write the last lines of the log.
constexpr std::chrono::seconds kControllerLimit{2};
constexpr int kRecordsPerTurn = 64;
constexpr int kExitCannotStart = 1;
// The arguments of `take-over`: the program's name, the command, then "check", or
// the handover's descriptor and the site file.
constexpr int kCheckArguments = 3;
constexpr int kTakeOverArguments = 4;
constexpr int kSitePathArgument = 3;

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// The same user with these supplementary groups and no other.
User with_groups(User user, std::vector<gid_t> groups) {
  user.groups = std::move(groups);
  return user;
}

}  // namespace

Supervisor::Supervisor(Parts parts, const Log& log)
    : parts_(std::move(parts)),
      log_(log),
      controller_({.name = "controller",
                   .program = parts_.program.get(),
                   .user = with_groups(parts_.own, {parts_.cluster.gid}),
                   .change_user = parts_.root,
                   .environment = true}),
      worker_({.name = "worker",
               .program = parts_.program.get(),
               .user = with_groups(parts_.own, {}),
               .change_user = parts_.root}),
      member_({.name = "member",
               .program = parts_.program.get(),
               .user = with_groups(parts_.cluster, {}),
               .change_user = parts_.root}),
      listeners_(parts_.cores),
      instances_({.folders = parts_.folders,
                  .site_folder = folder_of(parts_.up.site_path),
                  .own = parts_.own,
                  .app = parts_.app,
                  .root = parts_.root,
                  .isolation = parts_.isolation,
                  .descriptors = parts_.descriptors,
                  .program = parts_.program.get()}) {}

int Supervisor::run() {
  reap();  // what ended while another program was here
  const bool worker = start_child(worker_);
  const bool controller = old_controller_ || controller_.alive() || start_child(controller_);
  if (upgrades_ == 0 && (!worker || !controller)) return kExitCannotStart;
  // What the others have become since is asked before the first site is accepted.
  if (has_joined()) want_member(true);
  while (phase_ != Phase::kEnded) turn();
  ::unlink(control_socket(parts_.folders).c_str());
  // The file stays: removing it could take it from a successor that has just locked it.
  (void)!::ftruncate(parts_.lock.get(), 0);
  return exit_code_;
}

void Supervisor::turn() {
  pollfd ready[] = {{.fd = parts_.signals.get(), .events = POLLIN, .revents = 0},
                    {.fd = controller_.alive() ? controller_.channel() : -1, .events = POLLIN, .revents = 0}};
  ::poll(ready, std::size(ready), wait_milliseconds());
  now_ = std::chrono::steady_clock::now();
  // What a dying controller said last still counts, so records come before ends.
  if (ready[1].revents != 0) read_records(controller_);
  if (ready[0].revents != 0) read_signals();
  instances_.kill_overdue(now_);
  kill_overdue_predecessors();
  instances_.clean_up();
  start_what_is_due();
  if (phase_ != Phase::kRunning) advance_stop();
}

int Supervisor::wait_milliseconds() const {
  std::optional<Time> next;
  const auto consider = [&](std::optional<Time> time) {
    if (time && (!next || *time < *next)) next = time;
  };
  consider(controller_.due());
  consider(worker_.due());
  consider(member_.due());
  consider(instances_.next_kill());
  if (trial_) consider(trial_->deadline());
  if (old_controller_) consider(old_controller_->kill_at);
  if (old_member_) consider(old_member_->kill_at);
  if (phase_ == Phase::kDraining || phase_ == Phase::kLogging) consider(phase_deadline_);
  if (!next) return -1;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(*next - now_);
  return static_cast<int>(std::clamp<int64_t>(wait.count(), 0, 60'000));
}

// ---- signals and ends of processes

void Supervisor::read_signals() {
  signalfd_siginfo info{};
  while (::read(parts_.signals.get(), &info, sizeof info) == sizeof info) {
    switch (info.ssi_signo) {
      case SIGHUP:
        // From the kernel it means that the terminal is gone, from a person: reload.
        if (info.ssi_code == SI_KERNEL) {
          stop(0);
        } else if (phase_ == Phase::kRunning) {
          send_site_file();
        }
        break;
      case SIGUSR2:
        begin_upgrade();
        break;
      case SIGTERM:
      case SIGINT:
        if (phase_ == Phase::kRunning) {
          stop(0, info.ssi_signo == SIGINT ? kInterruptLimit : kDrainLimit);
        } else {
          stop_at_once();
        }
        break;
      default:
        reap();
    }
  }
}

void Supervisor::reap() {
  int status = 0;
  for (pid_t pid = ::waitpid(-1, &status, WNOHANG); pid > 0; pid = ::waitpid(-1, &status, WNOHANG)) {
    if (pid == controller_.pid()) {
      child_ended(controller_, status);
    } else if (pid == worker_.pid()) {
      child_ended(worker_, status);
    } else if (pid == member_.pid()) {
      child_ended(member_, status);
    } else if (trial_ && pid == trial_->pid()) {
      end_trial(status);
    } else if (predecessor_ended(pid)) {
      continue;
    } else if (Instances::Running* running = instances_.ended(pid, status)) {
      report_end(*running);
    }
  }
}

void Supervisor::child_ended(ChildProcess& child, int status) {
  const pid_t pid = child.pid();
  child.ended(now_);
  if (&child == &controller_) {
    instances_.end_jobs();
    deploying_ = false;
  }
  const bool unwanted = &child == &member_ && !member_wanted_;
  if (phase_ != Phase::kRunning || unwanted) child.stay_away();
  if (&child == &member_) say_member();
  if (phase_ != Phase::kRunning || unwanted) return;
  const char* how = WIFSIGNALED(status) ? "signal" : "status";
  log_.warning("a process of Terrace ended and is started again",
               {{"process", child.name()},
                {"pid", pid},
                {how, WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)}});
}

void Supervisor::start_what_is_due() {
  for (ChildProcess* child : {&worker_, &controller_, &member_}) {
    if (child->due() && *child->due() <= now_) start_child(*child);
  }
}

bool Supervisor::start_child(ChildProcess& child) {
  if (const Result<void> started = child.start(now_); !started) {
    log_.error("cannot start a process of Terrace",
               {{"process", child.name()}, {"error", describe(started.error())}});
    child.ended(now_);
    return false;
  }
  greet(child);
  return true;
}

// ---- what a new controller or worker is told

void Supervisor::greet(const ChildProcess& child) {
  Welcome welcome;
  welcome.starts = child.starts();
  welcome.cores = parts_.cores;
  welcome.memory_bytes = parts_.memory_bytes;
  welcome.privileged = parts_.root ? 1 : 0;
  welcome.upgrades = upgrades_;
  welcome.own_user = parts_.own.uid;
  welcome.own_group = parts_.own.gid;
  (void)welcome.server.set(parts_.up.server);
  welcome.cluster_group = parts_.cluster.gid;
  welcome.joined = has_joined() ? 1 : 0;
  (void)welcome.site_path.set(parts_.up.site_path);
  (void)welcome.state.set(parts_.folders.state);
  (void)welcome.run.set(parts_.folders.run);
  (void)welcome.log.set(parts_.folders.log);
  if (&child == &member_) {
    tell(member_, welcome);
    greet_member();
    return connect(member_, worker_);
  }
  if (&child == &worker_) {
    tell(worker_, welcome);
    greet_worker();
    connect(member_, worker_);
  } else {
    tell(controller_, welcome);
    greet_controller();
  }
  if (worker_.alive()) tell(controller_, WorkerStarted{.pid = worker_.pid(), .starts = worker_.starts()});
  connect(controller_, worker_);
}

void Supervisor::greet_member() {
  if (site_) tell(member_, *site_, site_text_.get());
  say_member();
}

void Supervisor::say_member() {
  tell(controller_, MemberStarted{.pid = member_.pid(), .starts = member_.starts()});
}

void Supervisor::greet_worker() {
  for (const Listeners::Held& held : listeners_.held()) {
    for (uint32_t i = 0; i < held.sockets.size(); ++i)
      tell(worker_, record_of(held, i), held.sockets[i].get());
  }
}

void Supervisor::greet_controller() {
  if (site_) {
    tell(controller_, Secrets{}, secrets_.get());
    tell(controller_, *site_, site_text_.get());
  } else {
    send_site_file();
  }
  for (const Listeners::Held& held : listeners_.held()) tell(controller_, record_of(held, 0));
  // Ends that nobody has heard of follow the beginnings they belong to.
  std::vector<Instances::Running*> ended;
  for (const auto& running : instances_.all()) {
    if (running->orphaned) continue;
    report(*running);
    if (running->ended) ended.push_back(running.get());
  }
  for (Instances::Running* running : ended) report_end(*running);
  say_retiring();
  say_member();
  tell(controller_, Complete{});
  if (phase_ != Phase::kRunning) tell(controller_, Stop{});
}

// By a new pair of ends, of which we keep none: nothing of it has to outlive an upgrade, as
// the next program connects the processes that it starts.
void Supervisor::connect(ChildProcess& one, ChildProcess& other) {
  if (!one.alive() || !other.alive()) return;
  const Result<std::pair<Descriptor, Descriptor>> ends = make_channel();
  if (!ends) {
    log_.error("cannot connect two processes of Terrace",
               {{"one", one.name()}, {"other", other.name()}, {"error", describe(ends.error())}});
    return;
  }
  tell(one, Peer{.with = process_of(other)}, ends->first.get());
  tell(other, Peer{.with = process_of(one)}, ends->second.get());
}

Process Supervisor::process_of(const ChildProcess& child) const {
  if (&child == &worker_) return Process::kWorker;
  return &child == &member_ ? Process::kMember : Process::kController;
}

// ---- what the controller asks for

void Supervisor::read_records(ChildProcess& child) {
  for (int i = 0; i < kRecordsPerTurn && child.alive(); ++i) {
    Result<Received> received = receive_record(child.channel());
    if (!received && received.error().code == Code::kWouldBlock) return;
    if (!received) {
      // It has ended, or closed its only way to speak with us: then it must end.
      child.kill(SIGKILL);
      return reap();
    }
    handle(*received);
  }
}

void Supervisor::handle(Received& received) {
  if (const auto listen = received.as<Listen>()) return handle_listen(*listen);
  if (const auto unlisten = received.as<Unlisten>()) return handle_unlisten(*unlisten);
  if (const auto start = received.as<StartInstance>())
    return handle_start(*start, received.take_descriptor());
  if (const auto signal = received.as<SignalInstance>())
    return instances_.signal(signal->slot, signal->generation, signal->signal);
  if (const auto tag = received.as<TagInstance>()) return instances_.tag(*tag);
  if (const auto make = received.as<MakeRelease>()) return handle_make_release(*make);
  if (const auto remove = received.as<RemoveRelease>())
    return answer_release(remove->number, remove_release_folder(parts_.folders, remove->number));
  if (received.as<ReadSite>()) return send_site_file();
  if (const auto stopped = received.as<StopSite>()) return stop(stopped->exit_code);
  if (const auto site = received.as<Site>()) return handle_site(*site, received.take_descriptor());
  if (const auto member = received.as<MemberWanted>()) return want_member(member->wanted != 0);
  if (received.as<Secrets>()) {
    secrets_ = received.take_descriptor();
    return;
  }
  if (const auto serving = received.as<Serving>()) return handle_serving(*serving);
  if (const auto deploying = received.as<Deploying>()) {
    deploying_ = deploying->begins != 0;
    return;
  }
  if (const auto serves = received.as<WorkerServes>()) {
    if (serves->starts == worker_.starts()) retire_workers();
    return;
  }
  if (received.as<Upgrade>()) return begin_upgrade();
  if (const auto site = received.as<WriteSite>()) return handle_write_site(*site, received.take_descriptor());
  if (const auto secret = received.as<StoreSecret>())
    return handle_store_secret(*secret, received.take_descriptor());
  if (received.as<ReadSecrets>()) return handle_read_secrets();
  log_.error("refused a record of the controller", {{"kind", static_cast<int64_t>(received.kind())}});
}

void Supervisor::handle_serving(const Serving& record) {
  if (serving_) return;
  if (record.without_app != 0) return notify_service("READY=1\nSTATUS=The application is not up yet.");
  serving_ = true;
  notify_service("READY=1\nSTATUS=");
  Announcement announcement{.log_folder = parts_.folders.log};
  for (const Listeners::Held& held : listeners_.held()) {
    if (held.purpose == Purpose::kWeb) announcement.web.push_back(held.bound);
    if (held.purpose == Purpose::kHop) announcement.hop.push_back(held.bound);
    if (held.purpose == Purpose::kAdmin) announcement.admin = held.bound;
  }
  print(announcement_text(announcement));
}

void Supervisor::handle_site(const Site& record, Descriptor text) {
  site_ = record;
  site_text_ = std::move(text);
  tell(member_, *site_, site_text_.get());
}

bool Supervisor::has_joined() const { return ::access(identity_file(parts_.folders).c_str(), F_OK) == 0; }

// A server that is a member of a site stays one, whatever its file says.
void Supervisor::want_member(bool wanted) {
  member_wanted_ = wanted || has_joined();
  if (phase_ != Phase::kRunning || old_member_) return;
  if (member_wanted_ && !member_.alive() && !member_.due()) start_child(member_);
  if (member_wanted_) return;
  member_.stay_away();
  if (member_.alive()) member_.finish();
}

void Supervisor::handle_listen(const Listen& record) {
  if (phase_ != Phase::kRunning) return;
  const size_t before = listeners_.held().size();
  const Result<const Listeners::Held*> held = listeners_.listen(record.purpose, record.requested.view());
  if (held) return announce(**held, listeners_.held().size() != before);
  ListenFailed failed{.purpose = record.purpose, .requested = record.requested};
  failed.system = held.error().system;
  tell(controller_, failed);
}

void Supervisor::announce(const Listeners::Held& held, bool worker_too) {
  for (uint32_t i = 0; worker_too && i < held.sockets.size(); ++i)
    tell(worker_, record_of(held, i), held.sockets[i].get());
  tell(controller_, record_of(held, 0));
}

void Supervisor::handle_unlisten(const Unlisten& record) {
  if (!listeners_.unlisten(record.purpose, record.requested.view())) return;
  tell(worker_, ListenerGone{.purpose = record.purpose, .requested = record.requested});
}

void Supervisor::handle_start(const StartInstance& record, const Descriptor& input) {
  const Result<const Instances::Running*> running = phase_ == Phase::kRunning
                                                        ? instances_.start(record, input.get())
                                                        : fail(Code::kUnavailable, "the site stops");
  for (const std::string& note : instances_.take_notes()) log_.info("the app's folder", {{"done", note}});
  if (running) {
    say_if_limits_are_weak(record);
    return report(**running);
  }
  InstanceEnded ended{.slot = record.slot, .generation = record.generation};
  (void)ended.error.set(std::string_view(describe(running.error())).substr(0, 255));
  tell(controller_, ended);
}

void Supervisor::handle_make_release(const MakeRelease& record) {
  const Result<User> user = permitted_app_user(std::string(record.user.view()), parts_.own, parts_.app);
  answer_release(record.number, user ? make_release_folder(parts_.folders, record.number, *user, parts_.own)
                                     : Result<void>(std::unexpected(user.error())));
}

void Supervisor::answer_release(uint32_t number, const Result<void>& done) {
  ReleaseFolder answer{.number = number, .failed = done ? 0U : 1U};
  if (!done) (void)answer.error.set(std::string_view(describe(done.error())).substr(0, 255));
  tell(controller_, answer);
}

void Supervisor::say_if_limits_are_weak(const StartInstance& record) {
  const bool limited = record.memory_bytes > 0 || record.processes > 0;
  if (!limited || instances_.limits() != Limits::kRlimit || std::exchange(limits_said_, true)) return;
  log_.warning(
      "control groups are not ours here: memory and processes are limited for each process, not for "
      "an instance as a whole");
}

// The site file as it is on disk now, opened by us: it may be readable for root only.
void Supervisor::send_site_file() {
  send_secrets();
  const Descriptor file(::open(parts_.up.site_path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat about{};
  const bool readable = file && ::fstat(file.get(), &about) == 0 && S_ISREG(about.st_mode);
  tell(controller_, Reload{.system = readable ? 0 : errno}, readable ? file.get() : -1);
}

void Supervisor::report(const Instances::Running& running) {
  tell(controller_, running.record, running.started.output.get());
}

void Supervisor::report_end(Instances::Running& running) {
  if (running.orphaned) return instances_.forget(running);
  if (!controller_.alive()) return;
  tell(controller_, *running.ended);
  instances_.forget(running);
}

// ---- the end

void Supervisor::stop(int exit_code, std::chrono::seconds limit) {
  if (phase_ != Phase::kRunning) return;
  exit_code_ = exit_code;
  notify_service("STOPPING=1");
  log_.info("the site stops");
  phase_ = Phase::kDraining;
  phase_deadline_ = now_ + limit;
  worker_.stay_away();
  member_.stay_away();
  listeners_.close();
  const Stop stop{.limit_ms = static_cast<uint32_t>(std::chrono::milliseconds(limit).count())};
  tell(controller_, stop);
  tell(worker_, stop);
  for (Predecessor& worker : retiring_) tell_retiring(worker);
}

void Supervisor::stop_at_once() {
  phase_ = Phase::kEnding;
  worker_.kill(SIGKILL);
  kill_predecessors();
  instances_.kill_all();
}

void Supervisor::end_instances() {
  phase_ = Phase::kEnding;
  worker_.kill(SIGKILL);
  kill_predecessors();
  instances_.terminate_all(now_);
}

void Supervisor::advance_stop() {
  const bool late = now_ >= phase_deadline_;
  const bool worker_gone = !worker_.alive() && retiring_.empty();
  if (phase_ == Phase::kDraining && late)
    log_.warning("requests in flight were cut off: the worker took too long");
  if (phase_ == Phase::kDraining && (late || worker_gone)) end_instances();
  if (phase_ == Phase::kEnding && instances_.empty() && worker_gone) {
    phase_ = Phase::kLogging;
    phase_deadline_ = now_ + kControllerLimit;
    controller_.finish();
    if (member_.alive()) member_.finish();
  } else if (phase_ == Phase::kLogging && late) {
    controller_.kill(SIGKILL);
    member_.kill(SIGKILL);
  }
  const bool ended = !controller_.alive() && !member_.alive() && !old_member_;
  if (phase_ == Phase::kLogging && ended) phase_ = Phase::kEnded;
}

// ---- the beginning

namespace {

// Signals come through a descriptor, so that they and everything else have one order.
Descriptor take_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGHUP, SIGUSR2, SIGTERM, SIGINT}) ::sigaddset(&set, signal);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  return Descriptor(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

// The worker needs a descriptor per connection. Returns the limit that we were
// started with, which the app's instances get.
rlim_t raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return before;
}

void say_what_is_off(const Parts& parts, const Log& log) {
  if (!parts.root)
    log.info(
        "not started as root: ports under 1024, users of their own and the memory limit of an "
        "instance as a whole are off",
        {{"user", parts.own.name}});
  if (parts.isolation == Isolation::kSubreaper)
    log.warning(
        "namespaces are forbidden here: a guardian process ends the app's processes; if it is "
        "killed itself, they stay");
}

// Else the app could not read its own code, nor the worker its files.
void say_what_is_closed(const Parts& parts, const Log& log) {
  const std::string folder = folder_of(parts.up.site_path);
  for (const User* user : {&parts.own, &parts.app}) {
    const std::string closed = parts.root ? closed_folder(folder, *user) : "";
    if (!closed.empty())
      log.warning(
          "a user of the site cannot enter its folder: move the site, to /srv perhaps, or open the folder",
          {{"user", user->name}, {"closed", closed}});
  }
}

void find_users(Parts& parts, const Log& log) {
  parts.root = ::geteuid() == 0;
  parts.own = parts.root ? system_user(kOwnUser, kOwnNumber, log) : current_user();
  parts.app = parts.root ? system_user(kAppUser, kAppNumber, log) : parts.own;
  parts.cluster = parts.root ? system_user(kClusterUser, kClusterNumber, log) : parts.own;
}

// What is the same for a supervisor that begins and one that takes over.
void prepare_process(Parts& parts, int argc, char** argv) {
  own_process_title(argc, argv);
  set_process_title("terrace: supervisor");
  ::umask(022);
  parts.signals = take_signals();
  parts.program = Descriptor(::open("/proc/self/exe", O_PATH | O_CLOEXEC));
}

bool prepare(Parts& parts, Log& log) {
  find_users(parts, log);
  parts.folders = folders_of(parts.up.site_path, parts.root);
  if (const Result<void> made = make_site_folders(parts.folders, parts.own, parts.cluster); !made) {
    log.error(
        "cannot make the site's folders",
        {{"state", parts.folders.state}, {"run", parts.folders.run}, {"error", describe(made.error())}});
    return false;
  }
  pid_t holder = 0;
  Result<Descriptor> lock = lock_site(parts.folders, holder);
  if (!lock) {
    log.error("this site cannot be started twice",
              {{"error", describe(lock.error())}, {"pid", holder}, {"file", pid_file(parts.folders)}});
    return false;
  }
  parts.lock = std::move(*lock);
  parts.terrace_log = copy_to_terrace_log(log, parts.folders.log, &parts.own);
  const topology::Machine machine = look_at_machine().machine;
  parts.cores = static_cast<uint32_t>(machine.cores);
  parts.memory_bytes = machine.memory_bytes;
  parts.isolation = possible_isolation();
  say_what_is_off(parts, log);
  say_what_is_closed(parts, log);
  return true;
}

// The parts as the program before us had them.
Parts parts_of(const Handover& handover) {
  Parts parts{.up = {.site_path = handover.site_path, .server = handover.server}};
  parts.folders = handover.folders;
  parts.isolation = handover.isolation;
  parts.descriptors = handover.descriptors;
  parts.cores = handover.cores;
  parts.memory_bytes = look_at_machine().machine.memory_bytes;
  parts.program_path = handover.program;
  parts.lock = Descriptor(handover.lock);
  return parts;
}

// What cannot be read cannot be kept: the children of the program before us end, and
// the site starts as on any other day.
int start_anew(int argc, char** argv, const Log& log, const Error& error) {
  log.error("the state of the program before cannot be read: all of it ends and the site starts anew",
            {{"error", describe(error)}});
  kill_descendants();
  ::close_range(3, ~0U, 0);
  return run_supervisor(argc, argv, {.site_path = argv[kSitePathArgument], .server = {}});
}

}  // namespace

int run_supervisor(int argc, char** argv, const UpOptions& options) {
  Log log("supervisor");
  Parts parts{.up = options};
  parts.program_path = installed_program(argv[0]);
  prepare_process(parts, argc, argv);
  parts.descriptors = raise_descriptor_limit();
  if (!prepare(parts, log)) return kExitCannotStart;
  if (::chdir("/") != 0) return kExitCannotStart;
  return Supervisor(std::move(parts), log).run();
}

int run_take_over(int argc, char** argv) {
  if (argc == kCheckArguments && std::string_view(argv[2]) == kTakeOverCheck) return run_take_over_check();
  if (argc != kTakeOverArguments) return kExitCannotStart;
  Log log("supervisor");
  Descriptor memory(std::atoi(argv[2]));
  const Result<std::string> text = read_text_descriptor(memory.get(), kHandoverBytesMax);
  memory.reset();
  const Result<Handover> handover = text ? read_handover(*text) : std::unexpected(text.error());
  if (!handover) return start_anew(argc, argv, log, handover.error());
  keep_over_exec(*handover, false);
  Parts parts = parts_of(*handover);
  find_users(parts, log);
  prepare_process(parts, argc, argv);
  // The version before may have known fewer folders.
  if (const Result<void> made = make_site_folders(parts.folders, parts.own, parts.cluster); !made)
    log.error("cannot make the site's folders", {{"error", describe(made.error())}});
  parts.terrace_log = copy_to_terrace_log(log, parts.folders.log, &parts.own);
  Supervisor supervisor(std::move(parts), log);
  supervisor.adopt(*handover);
  return supervisor.run();
}

}  // namespace terrace::program

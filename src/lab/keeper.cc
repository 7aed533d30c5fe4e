#include "lab/keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/log.h"
#include "lab/forwarder.h"
#include "lab/tool.h"
#include "net/address.h"
#include "net/listener.h"

namespace terrace::lab {
namespace {

constexpr int kPollMilliseconds = 50;
constexpr int kPortsTried = 100;
constexpr off_t kEventsBytesMax = 8 << 20;

std::string service_of(const PlannedMachine& machine) {
  return machine.has_terrace() ? "exec /usr/bin/terrace up --file /etc/terrace/site.toml" : machine.run;
}

Boot boot_of(const KeeperOptions& options, const PlannedMachine& machine) {
  const Plan& plan = options.plan;
  const LabFolders& folders = options.folders;
  const bool is_switch = machine.kind == MachineKind::kSwitch;
  return {.root = {.disk = folders.machine(machine.name), .name = machine.name, .hosts = hosts_text(plan)},
          .network = is_switch ? switch_commands() : machine_commands(plan, machine),
          .service = service_of(machine),
          .service_condition = machine.has_terrace() ? "/etc/terrace/site.toml" : kSetupDone,
          .set_title = options.set_title,
          .console = folders.console(machine.name)};
}

}  // namespace

Keeper::Keeper(KeeperOptions options) : options_(std::move(options)) {
  for (const PlannedMachine& machine : options_.plan.machines)
    machines_.emplace_back(machine, boot_of(options_, machine));
}

Result<void> Keeper::open() {
  sigset_t taken;
  ::sigemptyset(&taken);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) ::sigaddset(&taken, signal);
  ::sigprocmask(SIG_BLOCK, &taken, nullptr);
  signals_ = Descriptor(::signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return fail_system("signalfd");
  if (options_.starter > 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != options_.starter) return fail(Code::kCancelled, "keeper", "who started it is gone");
  }
  if (Result<void> noted = note_keeper(options_.name); !noted) return noted;
  events_ =
      Descriptor(::open(options_.folders.events().c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600));
  if (!events_) return fail_system("events.log");
  const Result<net::Address> address = net::Address::unix_socket(options_.folders.socket());
  if (!address) return std::unexpected(address.error());
  ::unlink(options_.folders.socket().c_str());
  const mode_t before = ::umask(0177);
  Result<Descriptor> listener = net::listen_on(*address);
  ::umask(before);
  if (!listener) return std::unexpected(listener.error());
  listener_ = std::move(*listener);
  for (Machine& machine : machines_) {
    if (Result<void> on = machine.power_on(); !on) return on;
  }
  note("the lab is switched on");
  return {};
}

// The port that was asked for, else the next free one.
Result<void> Keeper::start_forwarder() {
  Result<Descriptor> listener = fail(Code::kUnavailable, "port");
  for (int i = 0; i < kPortsTried && !listener; ++i) {
    loopback_port_ = options_.plan.loopback_port + i;
    if (loopback_port_ > 65'535) break;
    listener = net::listen_on(net::Address::loopback(static_cast<uint16_t>(loopback_port_)));
  }
  if (!listener) return std::unexpected(listener.error());
  loopback_ = std::move(*listener);
  const int network = find(kOutside)->pidfd();
  const pid_t keeper = ::getpid();
  forwarder_ = ::fork();
  if (forwarder_ < 0) return fail_system("fork");
  if (forwarder_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != keeper) ::_exit(1);
    run_forwarder(options_.plan, loopback_.get(), network);
  }
  return {};
}

int Keeper::run() {
  while (!going_down_ || std::ranges::any_of(machines_, &Machine::is_on)) poll_once();
  if (forwarder_ > 0) {
    ::kill(forwarder_, SIGKILL);
    ::waitpid(forwarder_, nullptr, 0);
  }
  const Result<void> removed = remove_lab(options_.folders);
  for (Client& client : clients_) {
    if (removed) agree(client);
    if (!removed) refuse(client, "its folders cannot be removed: " + describe(removed.error()));
  }
  return removed ? 0 : 1;
}

void Keeper::poll_once() {
  std::vector<pollfd> waiting = {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                 {.fd = listener_.get(), .events = POLLIN, .revents = 0}};
  for (const Machine& machine : machines_)
    waiting.push_back({.fd = machine.channel(), .events = POLLIN, .revents = 0});
  for (const Client& client : clients_)
    waiting.push_back({.fd = client.socket.get(), .events = POLLIN, .revents = 0});
  ::poll(waiting.data(), waiting.size(), kPollMilliseconds);
  for (size_t i = 0; i < machines_.size(); ++i) {
    if (waiting[2 + i].revents == 0) continue;
    const MachineState before = machines_[i].state();
    machines_[i].take_channel();
    if (machines_[i].state() != before) advance(machines_[i]);
  }
  for (size_t i = 0; i < clients_.size(); ++i) {
    if (waiting[2 + machines_.size() + i].revents != 0) read_client(clients_[i]);
  }
  if (waiting[1].revents != 0) accept_client();
  take_signals();
  for (Client& client : clients_) look_after(client);
  std::erase_if(clients_, [](const Client& client) { return !client.socket; });
}

void Keeper::take_signals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) reap();
    if (info.ssi_signo != SIGCHLD) begin_down();
  }
}

void Keeper::reap() {
  for (;;) {
    const pid_t pid = ::waitpid(-1, nullptr, WNOHANG);
    if (pid <= 0) return;
    if (pid == forwarder_) {
      forwarder_ = 0;
      note("the forwarder ended");
    }
    for (Machine& machine : machines_) {
      if (machine.pid() != pid) continue;
      machine.ended();
      note(fmt::format("{} is off", machine.name()));
    }
  }
}

// Boots a machine step by step: its root, then its cable, which needs the switch.
void Keeper::advance(Machine& machine) {
  if (machine.state() == MachineState::kFailed) {
    note(fmt::format("{} does not boot: {}", machine.name(), machine.failure()));
    machine.cut_power();
    return;
  }
  const bool is_switch = &machine == &the_switch();
  if (machine.state() == MachineState::kBuilt) {
    if (is_switch) machine.tell(kSayCable);
    if (!is_switch && the_switch().state() == MachineState::kUp) plug(machine);
  }
  if (machine.state() != MachineState::kUp) return;
  note(fmt::format("{} is up", machine.name()));
  if (machine.name() == kOutside && forwarder_ == 0) {
    if (const Result<void> started = start_forwarder(); !started)
      note("no port of the loopback is forwarded: " + describe(started.error()));
  }
  if (!is_switch) return;
  for (Machine& other : machines_) {
    if (other.state() == MachineState::kBuilt) plug(other);
  }
}

void Keeper::plug(Machine& machine) {
  const auto tell_switch = [&](const std::string& commands) {
    return run_tool_in_network(the_switch().pidfd(), {"ip", "-batch", "-"}, commands);
  };
  std::string wrong = tell_switch(cable_commands(machine.plan(), machine.pid()));
  if (!wrong.empty()) {
    // The kernel takes its time to remove the cable of a machine whose power was cut.
    (void)tell_switch(uncable_commands(machine.plan()));
    wrong = tell_switch(cable_commands(machine.plan(), machine.pid()));
  }
  if (!wrong.empty()) note(fmt::format("{} has no cable: {}", machine.name(), wrong));
  machine.link_up = true;
  machine.tell(kSayCable);
}

void Keeper::begin_down() {
  if (going_down_) return;
  going_down_ = true;
  note("the lab goes down");
  for (Machine& machine : machines_) machine.cut_power();
}

Machine* Keeper::find(const std::string& name) {
  const auto found = std::ranges::find(machines_, name, &Machine::name);
  return found != machines_.end() ? &*found : nullptr;
}

void Keeper::note(const std::string& event) {
  struct stat about{};
  if (::fstat(events_.get(), &about) == 0 && about.st_size > kEventsBytesMax)
    (void)!::ftruncate(events_.get(), 0);
  const std::string line = log_time(SystemClock().wall()) + " " + event + "\n";
  (void)!::write(events_.get(), line.data(), line.size());
}

}  // namespace terrace::lab

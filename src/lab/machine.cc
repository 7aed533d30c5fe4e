#include "lab/machine.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>

#include "base/file.h"

namespace terrace::lab {
namespace {

constexpr unsigned long kNamespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC;
constexpr int kChannel = 3;
// Processes may start others while they are being stopped.
constexpr int kFreezeRounds = 1000;

// fork(2) with namespaces. Without a stack of its own the child goes on here.
pid_t clone_here() {
  return static_cast<pid_t>(::syscall(SYS_clone, kNamespaces | SIGCHLD, nullptr, nullptr, nullptr, 0));
}

std::string link_text(const std::string& path) {
  std::array<char, 128> text{};
  return ::readlink(path.c_str(), text.data(), text.size() - 1) > 0 ? text.data() : "";
}

bool is_stopped(pid_t pid) {
  const Result<std::string> stat = read_file(fmt::format("/proc/{}/stat", pid), 4096);
  const size_t end = stat ? stat->rfind(')') : std::string::npos;
  // A zombie does nothing either.
  return end == std::string::npos || end + 2 >= stat->size() || (*stat)[end + 2] == 'T' ||
         (*stat)[end + 2] == 'Z';
}

}  // namespace

const char* word(MachineState state) {
  switch (state) {
    case MachineState::kOff:
      return "off";
    case MachineState::kBuilding:
    case MachineState::kBuilt:
      return "booting";
    case MachineState::kUp:
      return "up";
    case MachineState::kFrozen:
      return "frozen";
    case MachineState::kStopping:
      return "stopping";
    case MachineState::kFailed:
      return "failed";
  }
  return "";
}

Result<void> Machine::power_on() {
  if (Result<void> made = make_disk(boot_.root); !made) return made;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return fail_system("socketpair");
  Descriptor own(ends[0]);
  const Descriptor its(ends[1]);
  const pid_t pid = clone_here();
  if (pid == 0) become_machine(its.get());
  if (pid < 0) return fail_system("clone");
  pid_ = pid;
  pidfd_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  channel_ = std::move(own);
  failure_.clear();
  state_ = MachineState::kBuilding;
  return {};
}

void Machine::become_machine(int channel) const {
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int nothing = ::open("/dev/null", O_RDWR);
  const int moved = ::fcntl(channel, F_DUPFD, 10);
  for (const int fd : {0, 1, 2}) ::dup2(nothing, fd);
  ::dup2(moved, kChannel);
  ::close_range(kChannel + 1, ~0U, 0);
  ::fcntl(kChannel, F_SETFD, FD_CLOEXEC);
  ::umask(022);
  ::sethostname(plan_.name.data(), plan_.name.size());
  ::prctl(PR_SET_NAME, "terrace-machine");
  // A keeper that ended before the prctl has closed the channel: run_machine() sees it.
  run_machine(boot_, kChannel);
}

void Machine::cut_power() {
  if (is_on()) ::kill(pid_, SIGKILL);
}

void Machine::shut_down() {
  if (!is_on()) return;
  state_ = MachineState::kStopping;
  ::kill(pid_, SIGTERM);
}

// Whoever is in its network namespace is a process of the machine, also when it is in a
// PID namespace below, as instances are. Not so the one in ours that waits for a command
// in the machine (enter.cc): were it stopped, nobody would take that command's end, and
// the kernel holds a machine until all of its ends are taken. Returns how many were not
// in that state yet.
int Machine::signal_all(int signal, bool stopped) const {
  const std::string own = link_text(fmt::format("/proc/{}/ns/net", pid_));
  const std::string ours = link_text("/proc/self/ns/pid");
  const std::unique_ptr<DIR, int (*)(DIR*)> processes(::opendir("/proc"), ::closedir);
  int signalled = 0;
  while (const dirent* entry = processes ? ::readdir(processes.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc()) continue;
    if (own.empty() || link_text(fmt::format("/proc/{}/ns/net", pid)) != own) continue;
    if (link_text(fmt::format("/proc/{}/ns/pid", pid)) == ours || is_stopped(pid) == stopped) continue;
    ::kill(pid, signal);
    ++signalled;
  }
  return signalled;
}

void Machine::freeze() {
  if (state_ != MachineState::kUp) return;
  // The init first, which nobody inside may then miss.
  ::kill(pid_, SIGSTOP);
  for (int round = 0; round < kFreezeRounds && signal_all(SIGSTOP, true) > 0; ++round) continue;
  state_ = MachineState::kFrozen;
}

void Machine::thaw() {
  if (state_ != MachineState::kFrozen) return;
  signal_all(SIGCONT, false);
  state_ = MachineState::kUp;
}

void Machine::take_channel() {
  std::array<char, 4096> record{};
  const ssize_t n = ::recv(channel_.get(), record.data(), record.size(), MSG_DONTWAIT);
  if (n == 0) channel_.reset();
  if (n <= 0) return;
  std::string text(record.data() + 1, static_cast<size_t>(n - 1));
  while (text.ends_with('\n')) text.pop_back();
  switch (record[0]) {
    case kSayBuilt:
      state_ = MachineState::kBuilt;
      break;
    case kSayUp:
      state_ = MachineState::kUp;
      break;
    case kSayFailed:
      state_ = MachineState::kFailed;
      failure_ = text;
      break;
    default:
      break;
  }
}

void Machine::tell(char word) const {
  if (channel_) ::send(channel_.get(), &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Machine::ended() {
  pid_ = 0;
  pidfd_.reset();
  channel_.reset();
  if (state_ != MachineState::kFailed) state_ = MachineState::kOff;
}

}  // namespace terrace::lab

#include "program/child_process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <vector>

namespace terrace::program {
namespace {

constexpr Duration kShortLife = std::chrono::seconds(10);
constexpr uint32_t kForgivenLives = 5;
constexpr Duration kPauseFirst = std::chrono::milliseconds(100);
constexpr Duration kPauseMax = std::chrono::seconds(5);

// A service manager may signal every process of ours at once; only the supervisor
// knows the order in which they end.
void leave_signals_to_supervisor() {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::signal(signal, SIG_IGN);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// What the C library and the sanitizers read; nothing of the site's.
std::vector<char*> plain_environment() {
  // The title of a process is written over its arguments and environment: where
  // nothing else is kept, this is the room for it.
  static char room[] = "TERRACE_PROCESS=a child of the supervisor";
  std::vector<char*> kept = {room};
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string_view name = std::string_view(*each).substr(0, std::string_view(*each).find('='));
    if (name == "TZ" || name.starts_with("LC_") || name == "LANG" || name.ends_with("SAN_OPTIONS"))
      kept.push_back(*each);
  }
  kept.push_back(nullptr);
  return kept;
}

}  // namespace

Duration restart_pause(uint32_t short_lives) {
  if (short_lives <= kForgivenLives) return Duration::zero();
  const uint32_t doublings = std::min<uint32_t>(short_lives - kForgivenLives - 1, 6);
  return std::min(kPauseFirst * (1 << doublings), kPauseMax);
}

Result<void> ChildProcess::start(Time now) {
  due_.reset();
  Result<std::pair<Descriptor, Descriptor>> ends = make_channel();
  if (!ends) return std::unexpected(ends.error());
  const pid_t supervisor = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) run(ends->second.get(), supervisor);
  if (pid < 0) return fail_system("fork");
  pid_ = pid;
  channel_ = std::move(ends->first);
  started_ = now;
  ++starts_;
  return {};
}

void ChildProcess::ended(Time now) {
  pid_ = 0;
  channel_.reset();
  short_lives_ = now - started_ < kShortLife ? short_lives_ + 1 : 0;
  due_ = now + restart_pause(short_lives_);
}

void ChildProcess::kill(int signal) const {
  if (alive()) ::kill(pid_, signal);
}

Result<void> ChildProcess::give_up_root(pid_t supervisor) const {
  const Result<void> done = options_.change_user ? become(options_.user, true) : give_up_privileges();
  if (!done) return done;
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return fail_system("pdeathsig");
  // It may have ended before the call.
  if (::getppid() != supervisor) ::_exit(1);
  return {};
}

void ChildProcess::run(int channel, pid_t supervisor) const {
  // A session of its own: Ctrl-C is for the supervisor, which stops in order.
  ::setsid();
  if (channel == kSupervisorChannel) {
    ::fcntl(channel, F_SETFD, 0);
  } else {
    ::dup2(channel, kSupervisorChannel);
  }
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(nothing, 0);
  if (::chdir("/") != 0) ::_exit(1);
  if (const Result<void> done = give_up_root(supervisor); !done) {
    std::fprintf(stderr, "terrace: cannot start the %s: %s\n", options_.name.c_str(),
                 describe(done.error()).c_str());
    ::_exit(1);
  }
  leave_signals_to_supervisor();
  ::close_range(kSupervisorChannel + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  std::string program = "terrace";
  std::string name = options_.name;
  char* const arguments[] = {program.data(), name.data(), nullptr};
  ::fexecve(options_.program, arguments, options_.environment ? environ : plain_environment().data());
  std::perror("terrace: cannot start itself again");
  ::_exit(1);
}

}  // namespace terrace::program

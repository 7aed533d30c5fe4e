#include "program/instance_init.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/file.h"
#include "program/channel.h"

namespace terrace::program {
namespace {

static_assert(kKillAllSignal == SIGUSR1);

// The exit status of a shell that cannot run its command (POSIX, 2.8.2).
constexpr int kCannotRun = 126;

void reset_signals() {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void set_limit(__rlimit_resource resource, rlim_t value) {
  rlimit limit{};
  ::getrlimit(resource, &limit);
  limit.rlim_cur = std::min(value, limit.rlim_max);
  // Open files are only a default for the app to raise; the others are limits.
  if (resource != RLIMIT_NOFILE) limit.rlim_max = limit.rlim_cur;
  ::setrlimit(resource, &limit);
}

void set_limits(const InstancePlan& plan) {
  set_limit(RLIMIT_NOFILE, plan.descriptors);
  // RLIMIT_AS would stop runtimes that reserve far more than they use.
  if (plan.memory_bytes > 0) set_limit(RLIMIT_DATA, static_cast<rlim_t>(plan.memory_bytes));
  if (plan.processes > 0) set_limit(RLIMIT_NPROC, plan.processes + 1);
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& each : texts) pointers.push_back(const_cast<char*>(each.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

[[noreturn]] void run_command(const InstancePlan& plan) {
  ::setsid();
  reset_signals();
  if (::chdir(plan.folder.c_str()) != 0) {
    std::fprintf(stderr, "terrace: cannot enter %s: %s\n", plan.folder.c_str(), std::strerror(errno));
    ::_exit(kCannotRun);
  }
  ::umask(plan.umask);
  set_limits(plan);
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  const std::vector<char*> environment = pointers_to(plan.environment);
  if (!plan.arguments.empty()) {
    std::vector<std::string> arguments = {"terrace"};
    arguments.insert(arguments.end(), plan.arguments.begin(), plan.arguments.end());
    ::fexecve(kOwnProgram, pointers_to(arguments).data(), environment.data());
    std::fprintf(stderr, "terrace: cannot run itself: %s\n", std::strerror(errno));
    ::_exit(kCannotRun);
  }
  const std::vector<std::string> arguments = {"/bin/sh", "-c", shell_command(plan.command)};
  ::execve("/bin/sh", pointers_to(arguments).data(), environment.data());
  std::fprintf(stderr, "terrace: cannot run /bin/sh: %s\n", std::strerror(errno));
  ::_exit(kCannotRun);
}

// The parent of a process: the fourth field of its stat line, counted from behind
// the name, which may contain anything (proc_pid_stat(5)).
pid_t parent_of(const char* pid) {
  const Result<std::string> stat = read_file(fmt::format("/proc/{}/stat", pid), 4096);
  if (!stat) return 0;
  const size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos || stat->size() < name_end + 5) return 0;
  pid_t parent = 0;
  std::from_chars(stat->data() + name_end + 4, stat->data() + stat->size(), parent);
  return parent;
}

void kill_children() {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir("/proc"), ::closedir);
  if (!listing) return;
  while (const dirent* entry = ::readdir(listing.get())) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    if (parent_of(entry->d_name) != ::getpid()) continue;
    pid_t pid = 0;
    std::from_chars(entry->d_name, entry->d_name + std::strlen(entry->d_name), pid);
    if (pid > 0) ::kill(pid, SIGKILL);
  }
}

[[noreturn]] void end(Isolation isolation, int reports, int status) {
  if (isolation == Isolation::kSubreaper) kill_descendants();
  InitReport report;
  report.status = status;
  (void)send_bytes(reports, &report, sizeof report, -1);
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

// Reaps everything that ended; ends when the command has.
void reap(pid_t command, Isolation isolation, int reports) {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid == command) end(isolation, reports, status);
    if (pid <= 0 && errno != EINTR) return;
    if (pid == 0) return;
  }
}

// Whether the shell would find more than one simple command: an operator, a
// redirection, a comment or an open quotation outside of quotations.
bool has_operators(std::string_view command) {
  char quote = 0;
  for (size_t i = 0; i < command.size(); ++i) {
    const char c = command[i];
    if (quote != 0 && c == quote) {
      quote = 0;
    } else if (c == '\\' && quote != '\'') {
      ++i;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (quote == 0 && std::string_view(";&|<>()`\n#").find(c) != std::string_view::npos) {
      return true;
    }
  }
  return quote != 0;
}

void pass_on(pid_t command, int signal) {
  // The group does not exist until the child has called setsid().
  if (::kill(-command, signal) != 0) ::kill(command, signal);
}

}  // namespace

void kill_descendants() {
  for (;;) {
    kill_children();
    const pid_t reaped = ::waitpid(-1, nullptr, WNOHANG);
    if (reaped < 0 && errno == ECHILD) return;
    if (reaped == 0) ::usleep(1000);
  }
}

std::string shell_command(const std::string& command) {
  // What the shell itself does, and what is part of its language (POSIX, 2.4 and 2.14).
  constexpr std::string_view kShells =
      " . : ! { alias break case cd command continue eval exec exit export for if read readonly return set"
      " shift times trap ulimit umask unset until wait while ";
  const std::string first = command.substr(0, command.find_first_of(" \t"));
  const bool plain = !has_operators(command) && first.find('=') == std::string::npos && !first.empty() &&
                     kShells.find(" " + first + " ") == std::string_view::npos;
  return plain ? "exec " + command : command;
}

void give_up(int reports, const Error& error) {
  InitReport report;
  report.failed = 1;
  (void)report.text.set(std::string_view(describe(error)).substr(0, 255));
  (void)send_bytes(reports, &report, sizeof report, -1);
  ::_exit(kCannotRun);
}

void run_init(const InstancePlan& plan, Isolation isolation, int reports) {
  // Blocked signals wait for sigwaitinfo(), even those that an init ignores.
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  const pid_t command = ::fork();
  if (command == 0) run_command(plan);
  if (command < 0) give_up(reports, fail_system("fork").error());
  // The output ends when the last process of the app has closed it.
  const Descriptor nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  ::dup2(nothing.get(), 1);
  ::dup2(nothing.get(), 2);
  for (;;) {
    const int signal = ::sigwaitinfo(&all, nullptr);
    if (signal == SIGCHLD) reap(command, isolation, reports);
    if (signal == SIGTERM) pass_on(command, SIGTERM);
    if (signal == kKillAllSignal && isolation == Isolation::kSubreaper) end(isolation, reports, SIGKILL);
  }
}

}  // namespace terrace::program

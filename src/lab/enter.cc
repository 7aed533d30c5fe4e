#include "lab/enter.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "lab/root.h"

namespace terrace::lab {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kNamespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC;
constexpr int kMachineGone = 126;
constexpr int kNoCommand = 127;
constexpr size_t kLineBytesMax = 64 << 10;
constexpr int kLookMilliseconds = 100;
constexpr int kEndLookMilliseconds = 5;

volatile pid_t entered = 0;

void arrange(const EnteredCommand& command) {
  const int input = ::fcntl(command.input, F_DUPFD, 10);
  const int output = ::fcntl(command.output, F_DUPFD, 10);
  const int error = ::fcntl(command.error, F_DUPFD, 10);
  ::dup2(input, 0);
  ::dup2(output, 1);
  ::dup2(error, 2);
  ::close_range(3, ~0U, 0);
}

// Nothing of the caller's environment but what its terminal is.
std::vector<std::string> environment() {
  std::vector<std::string> variables = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                        "HOME=/root", "USER=root", "LANG=C.UTF-8"};
  if (const char* terminal = std::getenv("TERM")) variables.push_back(std::string("TERM=") + terminal);
  return variables;
}

[[noreturn]] void become_command(const EnteredCommand& command) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  arrange(command);
  if (!drop_capabilities() || ::chdir("/root") != 0) ::_exit(kMachineGone);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT, SIGTSTP}) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  std::vector<std::string> variables = environment();
  std::vector<char*> block;
  for (std::string& variable : variables) block.push_back(variable.data());
  block.push_back(nullptr);
  std::vector<char*> arguments;
  for (const std::string& word : command.words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  // execvpe(3) looks along the caller's PATH.
  ::setenv("PATH", variables[0].c_str() + 5, 1);
  ::execvpe(arguments[0], arguments.data(), block.data());
  ::_exit(kNoCommand);
}

// The process that goes in by setns(2): its child is the first that is in the PID
// namespace too. It passes signals on and mirrors the end. Ctrl-Z at a terminal, and what
// else stops the group, stops the command and not this process: the end of a machine waits
// until the end of each of its processes is taken.
[[noreturn]] void become_doorman(int pidfd, const EnteredCommand& command) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::signal(SIGTSTP, SIG_IGN);
  if (::setns(pidfd, kNamespaces) != 0) ::_exit(kMachineGone);
  entered = ::fork();
  if (entered < 0) ::_exit(kMachineGone);
  if (entered == 0) become_command(command);
  ::setpgid(0, 0);
  for (const int signal : {SIGTERM, SIGHUP}) ::signal(signal, [](int which) { ::kill(entered, which); });
  for (const int signal : {SIGINT, SIGQUIT}) ::signal(signal, SIG_IGN);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::close_range(0, ~0U, 0);
  int status = 0;
  while (::waitpid(entered, &status, 0) < 0 && errno == EINTR) continue;
  ::_exit(exit_status(status));
}

// Lines of a stream of bytes.
class Lines {
 public:
  explicit Lines(const RunInMachine& run) : run_(run) {}
  void add(std::string_view bytes) {
    text_ += bytes;
    for (size_t end = text_.find('\n'); end != std::string::npos; end = text_.find('\n')) {
      take(std::string_view(text_).substr(0, end));
      text_.erase(0, end + 1);
    }
    if (text_.size() > kLineBytesMax) finish();
  }
  void finish() {
    if (!text_.empty()) take(text_);
    text_.clear();
  }
  bool enough() const { return enough_; }

 private:
  void take(std::string_view line) {
    run_.show(line);
    enough_ = enough_ || run_.enough(line);
  }

  const RunInMachine& run_;
  std::string text_;
  bool enough_ = false;
};

// Nothing while it may go on.
Result<void> may_go_on(const RunInMachine& run, Clock::time_point deadline) {
  if (run.interrupted()) return fail(Code::kCancelled, "command", "interrupted");
  if (Clock::now() >= deadline) return fail(Code::kTimeout, "command", "it took too long");
  return {};
}

// Whether the command shall be ended now: enough is heard.
Result<bool> listen_to(int output, const RunInMachine& run, Clock::time_point deadline) {
  Lines lines(run);
  for (;;) {
    if (Result<void> goes_on = may_go_on(run, deadline); !goes_on) return std::unexpected(goes_on.error());
    pollfd readable{.fd = output, .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, kLookMilliseconds) <= 0) continue;
    char block[4096];
    const ssize_t n = ::read(output, block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    lines.add({block, static_cast<size_t>(n)});
    if (lines.enough()) return true;
  }
  lines.finish();
  return false;
}

// Its exit status. What has closed its output may go on for long.
Result<int> wait_for_end(pid_t pid, const RunInMachine& run, Clock::time_point deadline) {
  for (;;) {
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) == pid) return exit_status(status);
    if (Result<void> goes_on = may_go_on(run, deadline); !goes_on) return std::unexpected(goes_on.error());
    ::poll(nullptr, 0, kEndLookMilliseconds);
  }
}

}  // namespace

int exit_status(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

Result<pid_t> start_in_machine(int pidfd, const EnteredCommand& command) {
  const pid_t pid = ::fork();
  if (pid == 0) become_doorman(pidfd, command);
  if (pid < 0) return fail_system("fork");
  return pid;
}

Result<int> run_in_machine(int pidfd, const RunInMachine& run) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_system("pipe");
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  const Descriptor nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const Result<pid_t> pid = start_in_machine(pidfd, {.words = run.words,
                                                     .input = run.input >= 0 ? run.input : nothing.get(),
                                                     .output = writing.get(),
                                                     .error = writing.get()});
  if (!pid) return std::unexpected(pid.error());
  writing.reset();
  const auto deadline = Clock::now() + run.patience;
  const Result<bool> enough = listen_to(reading.get(), run, deadline);
  Result<int> ended = 0;
  if (!enough) ended = std::unexpected(enough.error());
  if (enough && !*enough) ended = wait_for_end(*pid, run, deadline);
  if (enough && !*enough && ended) return ended;
  ::kill(*pid, SIGKILL);
  while (::waitpid(*pid, nullptr, 0) < 0 && errno == EINTR) continue;
  return ended;
}

}  // namespace terrace::lab

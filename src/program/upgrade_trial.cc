#include "program/upgrade_trial.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <cstring>

#include "program/handover.h"
#include "program/output.h"
#include "program/text_descriptor.h"
#include "program/version.h"

namespace terrace::program {
namespace {

constexpr size_t kAnswerBytesMax = 4096;
constexpr rlim_t kTrialCpuSeconds = 5;
// What a trial says when it would work; the version follows.
constexpr std::string_view kYes = "takes over: terrace ";

Result<Descriptor> open_program(const std::string& path, bool as_root) {
  Descriptor program(::open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat about{};
  if (!program || ::fstat(program.get(), &about) != 0) return fail_system("open");
  if (!S_ISREG(about.st_mode)) return fail(Code::kInvalid, "program", "it is not a plain file");
  if (as_root && (about.st_uid != 0 || (about.st_mode & 022) != 0))
    return fail(Code::kInvalid, "program", "others than root may write to it, so root does not run it");
  return program;
}

std::string read_answer(int output) {
  char block[kAnswerBytesMax];
  const ssize_t n = ::read(output, block, sizeof block);
  std::string text(block, static_cast<size_t>(std::max<ssize_t>(0, n)));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

void take_plain_signals() {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

std::string absolute(const char* path) {
  char here[PATH_MAX];
  if (path[0] == '/' || ::getcwd(here, sizeof here) == nullptr) return path;
  return fmt::format("{}/{}", here, path);
}

}  // namespace

std::string installed_program(const char* name) {
  char self[PATH_MAX] = {};
  if (::readlink("/proc/self/exe", self, sizeof self - 1) < 0) return "";
  char real[PATH_MAX];
  // The name that we were started by may be a link that an upgrade turns elsewhere.
  if (std::strchr(name, '/') != nullptr && ::realpath(name, real) != nullptr && std::strcmp(real, self) == 0)
    return absolute(name);
  return self;
}

Result<UpgradeTrial> UpgradeTrial::start(const std::string& path, const User* user, std::string_view handover,
                                         Time now) {
  UpgradeTrial trial;
  Result<Descriptor> program = open_program(path, user != nullptr);
  if (!program) return std::unexpected(program.error());
  trial.program_ = std::move(*program);
  const Result<Descriptor> state = make_text_descriptor(handover);
  if (!state) return std::unexpected(state.error());
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_system("pipe");
  trial.output_ = Descriptor(ends[0]);
  const Descriptor write_end(ends[1]);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  trial.pid_ = ::fork();
  if (trial.pid_ == 0) trial.run(user, state->get(), write_end.get());
  if (trial.pid_ < 0) return fail_system("fork");
  trial.deadline_ = now + kTrialLimit;
  return trial;
}

void UpgradeTrial::run(const User* user, int state, int output) const {
  ::setsid();
  ::dup2(state, 0);
  ::dup2(output, 1);
  ::dup2(output, 2);
  const rlimit cpu{.rlim_cur = kTrialCpuSeconds, .rlim_max = kTrialCpuSeconds};
  ::setrlimit(RLIMIT_CPU, &cpu);
  const Result<void> done = user != nullptr ? become(*user, false) : give_up_privileges();
  if (!done) ::_exit(1);
  take_plain_signals();
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  char name[] = "terrace";
  std::string take_over = kTakeOver;
  std::string check = kTakeOverCheck;
  char* const arguments[] = {name, take_over.data(), check.data(), nullptr};
  char path[] = "PATH=/usr/bin:/bin";
  char* const environment[] = {path, nullptr};
  ::fexecve(program_.get(), arguments, environment);
  std::perror("it cannot be executed");
  ::_exit(1);
}

void UpgradeTrial::kill() const { ::kill(pid_, SIGKILL); }

std::string UpgradeTrial::problem(int status) {
  const std::string answer = read_answer(output_.get());
  if (WIFSIGNALED(status)) {
    const bool late = WTERMSIG(status) == SIGKILL;
    return late ? "its trial took too long" : fmt::format("its trial ended by signal {}", WTERMSIG(status));
  }
  if (WEXITSTATUS(status) != 0 || !answer.starts_with(kYes))
    return fmt::format("its trial failed with exit status {}: {}", WEXITSTATUS(status),
                       answer.substr(0, answer.find('\n')));
  version_ = answer.substr(kYes.size());
  return "";
}

Error UpgradeTrial::execute(int handover, const std::string& site_path) const {
  std::string name = "terrace";
  std::string take_over = kTakeOver;
  std::string number = std::to_string(handover);
  std::string site = site_path;
  char* const arguments[] = {name.data(), take_over.data(), number.data(), site.data(), nullptr};
  ::fexecve(program_.get(), arguments, environ);
  return fail_system("execve").error();
}

int run_take_over_check() {
  const Result<std::string> text = read_text_descriptor(0, kHandoverBytesMax);
  const Result<Handover> handover = text ? read_handover(*text) : std::unexpected(text.error());
  if (!handover) {
    print(fmt::format("terrace {} cannot take over from the one that runs: {}\n", kVersion,
                      describe(handover.error())));
    return 1;
  }
  print(fmt::format("{}{}\n", kYes, kVersion));
  return 0;
}

}  // namespace terrace::program

#include "lab/init.h"

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
#include <optional>

#include "base/file.h"
#include "lab/tool.h"

namespace terrace::lab {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kRestartPause{1};
constexpr seconds kLastWords{2};  // of what is no service, between SIGTERM and the end
constexpr seconds kConsoleLook{1};
constexpr const char* kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

class Init {
 public:
  Init(const Boot& boot, int channel) : boot_(boot), channel_(channel) {}

  Result<void> start();
  [[noreturn]] void run();
  void say(char word, const std::string& text = {}) const {
    const std::string record = word + text;
    ::send(channel_, record.data(), record.size(), MSG_NOSIGNAL);
  }

 private:
  void take_channel();
  void take_signals();
  void reap();
  void start_service();
  [[noreturn]] void become_service() const;
  void begin_stop();
  [[noreturn]] void end() const;
  milliseconds next_event() const;
  void look_at_console() const;

  const Boot& boot_;
  int channel_;
  Descriptor signals_;
  Descriptor console_;
  pid_t service_ = 0;
  std::optional<Clock::time_point> service_due_;
  std::optional<Clock::time_point> stop_deadline_;
};

Result<void> Init::start() {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  signals_ = Descriptor(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return fail_system("signalfd");
  console_ = Descriptor(::open(boot_.console.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600));
  if (!console_) return fail_system("console");
  if (Result<void> done = enter_root(boot_.root); !done) return done;
  return drop_capabilities();
}

void Init::take_channel() {
  char word = 0;
  const ssize_t n = ::recv(channel_, &word, 1, MSG_DONTWAIT);
  if (n == 0) ::_exit(0);  // the keeper is gone
  if (n < 0) return;
  if (word == kSayService) service_due_ = Clock::now();
  if (word != kSayCable) return;
  if (const std::string wrong = run_tool({"ip", "-batch", "-"}, boot_.network); !wrong.empty())
    return say(kSayFailed, wrong);
  say(kSayUp);
  if (!boot_.service_condition.empty() && ::access(boot_.service_condition.c_str(), F_OK) == 0)
    service_due_ = Clock::now();
}

void Init::take_signals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGTERM) begin_stop();
  }
  reap();
}

void Init::reap() {
  for (;;) {
    const pid_t pid = ::waitpid(-1, nullptr, WNOHANG);
    if (pid <= 0) return;
    if (pid != service_) continue;
    service_ = 0;
    if (stop_deadline_) end();
    service_due_ = Clock::now() + kRestartPause;
  }
}

void Init::start_service() {
  service_due_.reset();
  if (boot_.service.empty() || service_ > 0 || stop_deadline_) return;
  const pid_t pid = ::fork();
  if (pid == 0) become_service();
  service_ = std::max(pid, 0);
  if (pid < 0) service_due_ = Clock::now() + kRestartPause;
}

void Init::become_service() const {
  ::setsid();
  const int nothing = ::open("/dev/null", O_RDWR);
  ::dup2(nothing, 0);
  ::dup2(console_.get(), 1);
  ::dup2(console_.get(), 2);
  ::close_range(3, ~0U, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const char* const environment[] = {kPath, "LANG=C.UTF-8", nullptr};
  ::execle("/bin/sh", "sh", "-c", boot_.service.c_str(), nullptr, environment);
  ::_exit(127);
}

void Init::begin_stop() {
  if (stop_deadline_) return;
  if (service_ <= 0) end();
  stop_deadline_ = Clock::now() + kStopTimeout;
  ::kill(service_, SIGTERM);
}

// What else runs gets its chance, as in a shutdown; the rest is the kernel's.
void Init::end() const {
  ::kill(-1, SIGTERM);
  const auto deadline = Clock::now() + kLastWords;
  while (Clock::now() < deadline) {
    const pid_t pid = ::waitpid(-1, nullptr, WNOHANG);
    if (pid < 0) break;
    if (pid == 0) ::poll(nullptr, 0, 10);
  }
  ::_exit(0);
}

milliseconds Init::next_event() const {
  milliseconds wait = kConsoleLook;
  for (const auto& due : {service_due_, stop_deadline_}) {
    if (due) wait = std::min(wait, std::chrono::ceil<milliseconds>(*due - Clock::now()));
  }
  return std::max(wait, milliseconds(0));
}

void Init::look_at_console() const {
  struct stat about{};
  if (::fstat(console_.get(), &about) == 0 && about.st_size > kConsoleBytesMax)
    ::ftruncate(console_.get(), 0);
}

void Init::run() {
  for (;;) {
    pollfd waiting[] = {{.fd = channel_, .events = POLLIN, .revents = 0},
                        {.fd = signals_.get(), .events = POLLIN, .revents = 0}};
    ::poll(waiting, 2, static_cast<int>(next_event().count()));
    if (waiting[0].revents != 0) take_channel();
    take_signals();
    const auto now = Clock::now();
    if (service_due_ && *service_due_ <= now) start_service();
    if (stop_deadline_ && *stop_deadline_ <= now) end();
    look_at_console();
  }
}

}  // namespace

void run_machine(const Boot& boot, int channel) {
  if (boot.set_title) boot.set_title("terrace: lab " + boot.root.name);
  Init init(boot, channel);
  if (const Result<void> started = init.start(); !started) {
    init.say(kSayFailed, describe(started.error()));
    ::_exit(1);
  }
  init.say(kSayBuilt);
  init.run();
}

}  // namespace terrace::lab

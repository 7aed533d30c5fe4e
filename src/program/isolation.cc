#include "program/isolation.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "program/channel.h"
#include "program/instance_init.h"
#include "program/process_title.h"

namespace terrace::program {
namespace {

constexpr int kReports = 3;

// fork(2) with flags. Without a stack of its own the child goes on here.
pid_t clone_here(unsigned long flags) {
  return static_cast<pid_t>(::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, 0));
}

unsigned long namespaces(bool root) {
  constexpr unsigned long kFlags = CLONE_NEWPID | CLONE_NEWNS;
  return root ? kFlags : kFlags | CLONE_NEWUSER;
}

Result<void> write_map(const char* file, const std::string& text) {
  const Descriptor fd(::open(file, O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), text.data(), text.size()) < 0) return fail_system("user namespace");
  return {};
}

// We are the same user inside as outside (user_namespaces(7)).
Result<void> keep_user(uid_t user, gid_t group) {
  if (Result<void> done = write_map("/proc/self/setgroups", "deny"); !done) return done;
  if (Result<void> done = write_map("/proc/self/uid_map", fmt::format("{0} {0} 1", user)); !done) return done;
  return write_map("/proc/self/gid_map", fmt::format("{0} {0} 1", group));
}

// A /proc that shows the instance's processes only. Where a container forbids it
// the instance sees the host's; the namespace holds all the same.
void mount_own_proc() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return;
  ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
}

bool supervisor_gone(int reports) {
  pollfd end{.fd = reports, .events = 0, .revents = 0};
  return ::poll(&end, 1, 0) > 0 && (end.revents & (POLLHUP | POLLERR)) != 0;
}

Result<void> die_with_supervisor(Isolation isolation, int reports) {
  const int signal = isolation == Isolation::kNamespace ? SIGKILL : kKillAllSignal;
  if (::prctl(PR_SET_PDEATHSIG, signal) != 0) return fail_system("pdeathsig");
  // It may have ended before the call.
  if (supervisor_gone(reports)) ::_exit(0);
  return {};
}

Result<void> enter_isolation(const InstancePlan& plan, Isolation isolation, uid_t user, gid_t group) {
  if (plan.group != nullptr) {
    if (Result<void> done = plan.group->enter(); !done) return done;
  }
  if (isolation == Isolation::kSubreaper) {
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return fail_system("subreaper");
    return {};
  }
  if (user != 0) {
    if (Result<void> done = keep_user(user, group); !done) return done;
  }
  mount_own_proc();
  return {};
}

Result<void> take_user(const InstancePlan& plan) {
  return plan.change_user ? become(plan.user, true) : give_up_privileges();
}

// Standard input, output and error, the channel and the program; nothing else stays
// open.
void arrange_descriptors(const InstancePlan& plan, int output, int reports) {
  const int input = plan.input >= 0 ? plan.input : ::open("/dev/null", O_RDWR);
  const int moved_input = ::fcntl(input, F_DUPFD, 10);
  const int moved_output = ::fcntl(output, F_DUPFD, 10);
  const int moved_reports = ::fcntl(reports, F_DUPFD, 10);
  const int moved_program = plan.program >= 0 ? ::fcntl(plan.program, F_DUPFD, 10) : -1;
  ::dup2(moved_input, 0);
  ::dup2(moved_output, 1);
  ::dup2(moved_output, 2);
  ::dup2(moved_reports, kReports);
  if (moved_program >= 0) ::dup2(moved_program, kOwnProgram);
  ::close_range(moved_program >= 0 ? kOwnProgram + 1 : kOwnProgram, ~0U, 0);
}

[[noreturn]] void become_init(const InstancePlan& plan, Isolation isolation, uid_t user, gid_t group,
                              int output, int reports) {
  arrange_descriptors(plan, output, reports);
  ::setsid();
  set_process_title(plan.title);
  Result<void> done = enter_isolation(plan, isolation, user, group);
  if (done) done = take_user(plan);
  if (done) done = die_with_supervisor(isolation, kReports);
  if (!done) give_up(kReports, done.error());
  // The app has our user, but does not look into its init.
  ::prctl(PR_SET_DUMPABLE, 0);
  run_init(plan, isolation, kReports);
}

}  // namespace

Isolation possible_isolation() {
  const uid_t user = ::geteuid();
  const gid_t group = ::getegid();
  const pid_t pid = clone_here(namespaces(user == 0));
  if (pid == 0) ::_exit(user == 0 || keep_user(user, group) ? 0 : 1);
  int status = 1;
  if (pid > 0) {
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  }
  return pid > 0 && status == 0 ? Isolation::kNamespace : Isolation::kSubreaper;
}

Result<StartedInstance> start_instance(const InstancePlan& plan, Isolation isolation) {
  int pipe_ends[2];
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0) return fail_system("pipe");
  Descriptor output_read(pipe_ends[0]);
  const Descriptor output_write(pipe_ends[1]);
  ::fcntl(output_read.get(), F_SETFL, O_NONBLOCK);
  Result<std::pair<Descriptor, Descriptor>> channel = make_channel();
  if (!channel) return std::unexpected(channel.error());
  const uid_t user = ::geteuid();
  const gid_t group = ::getegid();
  const pid_t pid = clone_here(isolation == Isolation::kNamespace ? namespaces(user == 0) : 0);
  if (pid == 0) become_init(plan, isolation, user, group, output_write.get(), channel->second.get());
  if (pid < 0) return fail_system("clone");
  return StartedInstance{.pid = pid, .output = std::move(output_read), .reports = std::move(channel->first)};
}

InstanceEnd read_end(const StartedInstance& instance, int init_status) {
  InitReport report;
  const Result<Received> received = receive_record(instance.reports.get());
  if (!received || !received->copy_to(&report, sizeof report))
    return {.status = init_status, .error = ""};  // the init itself was killed
  if (report.failed != 0) return {.status = 0, .error = std::string(report.text.view())};
  return {.status = report.status, .error = ""};
}

void signal_instance(pid_t init, Isolation isolation, int signal) {
  if (signal == SIGKILL && isolation == Isolation::kSubreaper) signal = kKillAllSignal;
  ::kill(init, signal);
}

}  // namespace terrace::program

#include "program/isolation.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "program/instance_init.h"

namespace terrace::program {
namespace {

InstancePlan plan_of(const std::string& command) {
  InstancePlan plan;
  plan.title = "terrace: test";
  plan.command = command;
  plan.folder = "/";
  plan.environment = {"PATH=/usr/bin:/bin"};
  return plan;
}

std::string read_line(int fd) {
  std::string line;
  char c = 0;
  pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
  while (::poll(&ready, 1, 10'000) > 0 && ::read(fd, &c, 1) == 1 && c != '\n') line += c;
  return line;
}

InstanceEnd wait_end(const StartedInstance& instance) {
  int status = 0;
  while (::waitpid(instance.pid, &status, 0) < 0) continue;
  return read_end(instance, status);
}

// True when no process holds the output open any more: all of the app is gone.
bool output_ended(int fd) {
  char c = 0;
  pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&ready, 1, 10'000) > 0 && ::read(fd, &c, 1) == 0;
}

class IsolationTest : public testing::TestWithParam<Isolation> {
 protected:
  void SetUp() override {
    if (GetParam() == Isolation::kNamespace && possible_isolation() != Isolation::kNamespace)
      GTEST_SKIP() << "no namespaces here";
  }
};

TEST_P(IsolationTest, TheEndCarriesTheExitStatusOfTheCommand) {
  const Result<StartedInstance> instance = start_instance(plan_of("echo hello; exit 7"), GetParam());
  ASSERT_TRUE(instance);
  EXPECT_EQ(read_line(instance->output.get()), "hello");
  const InstanceEnd end = wait_end(*instance);
  EXPECT_TRUE(WIFEXITED(end.status));
  EXPECT_EQ(WEXITSTATUS(end.status), 7);
  EXPECT_EQ(end.error, "");
}

TEST_P(IsolationTest, TheEndCarriesTheSignalThatKilledTheCommand) {
  const Result<StartedInstance> instance = start_instance(plan_of("kill -SEGV $$"), GetParam());
  ASSERT_TRUE(instance);
  const InstanceEnd end = wait_end(*instance);
  EXPECT_TRUE(WIFSIGNALED(end.status));
  EXPECT_EQ(WTERMSIG(end.status), SIGSEGV);
}

TEST_P(IsolationTest, TermReachesTheCommandsProcessGroup) {
  const Result<StartedInstance> instance =
      start_instance(plan_of("trap 'echo ended; exit 3' TERM; echo ready; sleep 60 & wait"), GetParam());
  ASSERT_TRUE(instance);
  EXPECT_EQ(read_line(instance->output.get()), "ready");
  signal_instance(instance->pid, GetParam(), SIGTERM);
  EXPECT_EQ(read_line(instance->output.get()), "ended");
  EXPECT_EQ(WEXITSTATUS(wait_end(*instance).status), 3);
}

TEST_P(IsolationTest, KillTakesDetachedGrandchildrenToo) {
  const Result<StartedInstance> instance = start_instance(
      plan_of("setsid sh -c 'setsid sleep 60 & echo ready; sleep 60' & sleep 60; true"), GetParam());
  ASSERT_TRUE(instance);
  EXPECT_EQ(read_line(instance->output.get()), "ready");
  signal_instance(instance->pid, GetParam(), SIGKILL);
  wait_end(*instance);
  EXPECT_TRUE(output_ended(instance->output.get()));
}

TEST_P(IsolationTest, TheEndOfTheCommandTakesItsDaemonsToo) {
  const Result<StartedInstance> instance =
      start_instance(plan_of("setsid sh -c 'sleep 60 & echo ready; sleep 60' & sleep 0.2"), GetParam());
  ASSERT_TRUE(instance);
  EXPECT_EQ(read_line(instance->output.get()), "ready");
  wait_end(*instance);
  EXPECT_TRUE(output_ended(instance->output.get()));
}

TEST_P(IsolationTest, TheDeathOfTheStarterTakesEverything) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t starter = ::fork();
  if (starter == 0) {
    const Result<StartedInstance> instance = start_instance(
        plan_of("setsid sh -c 'setsid sleep 60 & echo ready; sleep 60' & sleep 60; true"), GetParam());
    const std::string line = read_line(instance->output.get());
    // The test reads the output's end from a duplicate that outlives this process.
    ::dup2(instance->output.get(), 0);
    (void)!::write(ends[1], "x", 1);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  const std::string descriptor = "/proc/" + std::to_string(starter) + "/fd/0";
  const int output = ::open(descriptor.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(output, 0);
  ::kill(starter, SIGKILL);
  ::waitpid(starter, nullptr, 0);
  EXPECT_TRUE(output_ended(output));
  ::close(output);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_P(IsolationTest, AFolderThatIsNotThereIsSaid) {
  InstancePlan plan = plan_of("true");
  plan.folder = "/no/such/folder";
  const Result<StartedInstance> instance = start_instance(plan, GetParam());
  ASSERT_TRUE(instance);
  EXPECT_EQ(read_line(instance->output.get()),
            "terrace: cannot enter /no/such/folder: No such file or directory");
  EXPECT_EQ(WEXITSTATUS(wait_end(*instance).status), 126);
}

TEST_P(IsolationTest, NothingOfOursIsOpenInTheApp) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Result<StartedInstance> instance =
      start_instance(plan_of("for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 20; do"
                             " [ -e /proc/self/fd/$n ] && open=$open:$n; done; echo $open"),
                     GetParam());
  ASSERT_TRUE(instance);
  EXPECT_EQ(read_line(instance->output.get()), ":0:1:2");
  wait_end(*instance);
  ::close(ends[0]);
  ::close(ends[1]);
}

INSTANTIATE_TEST_SUITE_P(All, IsolationTest, testing::Values(Isolation::kNamespace, Isolation::kSubreaper),
                         [](const auto& which) {
                           return which.param == Isolation::kNamespace ? "Namespace" : "Subreaper";
                         });

TEST(ShellCommand, ReplacesTheShellOnlyWhereNothingElseChanges) {
  EXPECT_EQ(shell_command("npm start"), "exec npm start");
  EXPECT_EQ(shell_command("./server --port $PORT"), "exec ./server --port $PORT");
  EXPECT_EQ(shell_command("cd web && npm start"), "cd web && npm start");
  EXPECT_EQ(shell_command("A=1 ./server"), "A=1 ./server");
  EXPECT_EQ(shell_command("exec ./server"), "exec ./server");
  EXPECT_EQ(shell_command("python3 -c 'a; b' \"$(c)\" ${D}"), "exec python3 -c 'a; b' \"$(c)\" ${D}");
  EXPECT_EQ(shell_command("echo 'a' ; b"), "echo 'a' ; b");
  EXPECT_EQ(shell_command("echo it\\'s; b"), "echo it\\'s; b");
  EXPECT_EQ(shell_command("exit 1"), "exit 1");
  EXPECT_EQ(shell_command("exits 1"), "exec exits 1");
}

}  // namespace
}  // namespace terrace::program

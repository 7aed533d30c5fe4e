#include "program/privileges.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

namespace terrace::program {
namespace {

// Exit status of `body` in a child: privileges cannot be given back.
template <class Body>
int in_child(Body body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

TEST(Privileges, AfterTheFilterThreadsStartButProcessesAndProgramsDoNot) {
  EXPECT_EQ(in_child([] {
              if (!give_up_privileges() || !refuse_new_processes()) return 1;
              int seen = 0;
              std::thread([&seen] { seen = 1; }).join();
              if (seen != 1) return 2;
              if (::fork() >= 0 || errno != EPERM) return 3;
              char name[] = "/bin/true";
              char* const arguments[] = {name, nullptr};
              if (::execve(name, arguments, arguments + 1) == 0 || errno != EPERM) return 4;
              return 0;
            }),
            0);
}

TEST(Privileges, RootCanBecomeAnotherUserForGood) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_child([] {
              const User user{.name = "x", .uid = 61190, .gid = 61190, .home = "/", .groups = {}};
              if (!become(user, false)) return 1;
              if (::getuid() != 61190 || ::getegid() != 61190 || ::getgroups(0, nullptr) != 0) return 2;
              if (::setuid(0) == 0) return 3;
              return 0;
            }),
            0);
}

TEST(Privileges, NobodyBecomesRootByARecord) {
  const User root{.name = "root", .uid = 0, .gid = 0, .home = "/", .groups = {}};
  EXPECT_FALSE(become(root, false));
}

TEST(Privileges, TheAppIsNeverRootNorUsNorAStranger) {
  const User own{.name = "terrace", .uid = 61190, .gid = 61190, .home = "/", .groups = {}};
  const User app{.name = "terrace-app", .uid = 61191, .gid = 61191, .home = "/", .groups = {}};
  EXPECT_FALSE(permitted_app_user("root", own, app));
  EXPECT_FALSE(permitted_app_user("daemon", own, app));
  EXPECT_FALSE(permitted_app_user("no-such-user", own, app));
  const Result<User> standard = permitted_app_user("", own, app);
  ASSERT_TRUE(standard);
  EXPECT_EQ(standard->name, ::geteuid() == 0 ? "terrace-app" : "terrace");
}

}  // namespace
}  // namespace terrace::program

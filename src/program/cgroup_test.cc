#include "program/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace terrace::program {
namespace {

constexpr const char* kVersion1Mounts =
    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
    "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

std::vector<std::string> folders_of(const std::vector<Hierarchy>& hierarchies) {
  std::vector<std::string> folders;
  for (const Hierarchy& each : hierarchies) folders.push_back(each.controller + " " + each.folder);
  return folders;
}

TEST(Cgroup, TakesTheHierarchiesOfVersion1BeforeAnEmptyVersion2) {
  EXPECT_THAT(folders_of(hierarchies_of(kVersion1Mounts, "8:pids:/\n4:memory:/box/1\n0::/\n")),
              testing::ElementsAre("memory /sys/fs/cgroup/memory/box/1", "pids /sys/fs/cgroup/pids"));
}

TEST(Cgroup, FindsOurGroupInVersion2) {
  const char* mounts = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
  EXPECT_THAT(folders_of(hierarchies_of(mounts, "0::/system.slice/terrace.service\n")),
              testing::ElementsAre(" /sys/fs/cgroup/system.slice/terrace.service"));
}

TEST(Cgroup, CountsOurGroupFromTheRootOfTheMount) {
  const char* mounts = "30 23 0:26 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
  EXPECT_THAT(folders_of(hierarchies_of(mounts, "4:memory:/docker/1/inner\n")),
              testing::ElementsAre("memory /sys/fs/cgroup/memory/inner"));
}

TEST(Cgroup, KillsAProcessThatTakesMoreMemoryThanItsLimitAndSaysSo) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const Cgroups cgroups = Cgroups::find("cgroup-test");
  if (cgroups.kind() == Limits::kRlimit) GTEST_SKIP() << "no cgroups here";
  Result<Cgroup> group = cgroups.make("app-1", 16 << 20, 10);
  ASSERT_TRUE(group);
  EXPECT_FALSE(group->out_of_memory());
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (!group->enter()) ::_exit(1);
    constexpr size_t kBytes = 64 << 20;
    (void)::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  EXPECT_TRUE(group->out_of_memory());
  EXPECT_TRUE(group->remove());
  cgroups.remove();
}

}  // namespace
}  // namespace terrace::program

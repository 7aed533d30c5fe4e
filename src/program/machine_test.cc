#include "program/machine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace terrace::program {
namespace {

constexpr int64_t kMiB = 1 << 20;

// A machine of 8 cores and 16 GiB, with control groups as a test says.
class MachineTest : public ::testing::Test {
 protected:
  MachineTest() {
    char name[] = "/tmp/terrace-machine-XXXXXX";
    root_ = mkdtemp(name);
    write("/proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\n");
  }
  ~MachineTest() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text << "\n";
  }
  void version1(const std::string& group) const {
    write("/proc/self/mountinfo",
          "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
          "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
          "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw");
    write("/proc/self/cgroup", "4:memory:" + group + "\n1:cpu,cpuacct:" + group + "\n0::/");
    write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
    write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1");
    write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
  }
  void version2(const std::string& group) const {
    write("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate");
    write("/proc/self/cgroup", "0::" + group);
  }
  MachineView look(int usable = 8) const { return look_at_machine(root_, {.usable = usable, .online = 8}); }

  std::string root_;
};

TEST_F(MachineTest, WithoutLimitsAllOfItIsOurs) {
  const MachineView view = look();
  EXPECT_EQ(view.machine.cores, 8);
  EXPECT_EQ(view.machine.memory_bytes, 16'384 * kMiB);
  EXPECT_EQ(view.cores_text, "8");
  EXPECT_EQ(view.memory_text, "16.0 GiB");
}

TEST_F(MachineTest, ACpusetOrTasksetLeavesFewerCores) {
  EXPECT_EQ(look(2).machine.cores, 2);
  EXPECT_EQ(look(2).cores_text, "2 of 8, where this process may run");
}

TEST_F(MachineTest, LimitsOfVersion1Count) {
  version1("/site");
  EXPECT_EQ(look().machine.cores, 8);
  write("/sys/fs/cgroup/cpu/site/cpu.cfs_quota_us", "150000");
  write("/sys/fs/cgroup/cpu/site/cpu.cfs_period_us", "100000");
  write("/sys/fs/cgroup/memory/site/memory.limit_in_bytes", "536870912");
  const MachineView view = look();
  EXPECT_EQ(view.machine.cores, 2);
  EXPECT_EQ(view.cores_text, "2 of 8, by the CPU quota of the cgroup (1.5)");
  EXPECT_EQ(view.machine.memory_bytes, 512 * kMiB);
  EXPECT_EQ(view.memory_text, "512 MiB, by the cgroup; the machine has 16.0 GiB");
}

TEST_F(MachineTest, LimitsOfVersion2Count) {
  version2("/system.slice/terrace.service");
  const std::string group = "/sys/fs/cgroup/system.slice/terrace.service";
  write(group + "/cpu.max", "max 100000");
  write(group + "/memory.max", "max");
  EXPECT_EQ(look().machine.cores, 8);
  EXPECT_EQ(look().memory_text, "16.0 GiB");
  write(group + "/cpu.max", "50000 100000");
  write(group + "/memory.max", "1073741824");
  EXPECT_EQ(look().machine.cores, 1);
  EXPECT_EQ(look().cores_text, "1 of 8, by the CPU quota of the cgroup (0.5)");
  EXPECT_EQ(look().machine.memory_bytes, 1024 * kMiB);
  write(group + "/memory.high", "805306368");
  EXPECT_EQ(look().machine.memory_bytes, 768 * kMiB);
}

TEST_F(MachineTest, ALimitOfAGroupAboveOursCountsToo) {
  version2("/a/b/c");
  write("/sys/fs/cgroup/a/b/c/memory.max", "2147483648");
  write("/sys/fs/cgroup/a/memory.max", "1073741824");
  write("/sys/fs/cgroup/a/b/cpu.max", "300000 100000");
  EXPECT_EQ(look().machine.memory_bytes, 1024 * kMiB);
  EXPECT_EQ(look().machine.cores, 3);
}

TEST_F(MachineTest, AQuotaAboveTheCoresChangesNothing) {
  version2("/a");
  write("/sys/fs/cgroup/a/cpu.max", "400000 100000");
  EXPECT_EQ(look(2).machine.cores, 2);
  EXPECT_EQ(look(2).cores_text, "2 of 8, where this process may run");
}

TEST_F(MachineTest, InAContainerTheMountBeginsAtOurGroup) {
  write("/proc/self/mountinfo", "30 23 0:26 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory");
  write("/proc/self/cgroup", "4:memory:/docker/1");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456");
  EXPECT_EQ(look().machine.memory_bytes, 256 * kMiB);
}

TEST_F(MachineTest, WhatCannotBeReadLimitsNothing) {
  version2("/a");
  write("/sys/fs/cgroup/a/cpu.max", "a lot");
  write("/sys/fs/cgroup/a/memory.max", "");
  EXPECT_EQ(look().machine.cores, 8);
  std::filesystem::remove_all(root_ + "/proc");
  EXPECT_EQ(look().machine.memory_bytes, 0);
  EXPECT_EQ(look().memory_text, "unknown");
}

}  // namespace
}  // namespace terrace::program

#include "program/instances.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

namespace terrace::program {
namespace {

using testing::HasSubstr;

class InstancesTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(folder_), nullptr);
    const std::string base = folder_;
    options_.folders = {.state = base + "/state", .run = base + "/run", .log = base + "/log"};
    for (const std::string& each : {options_.folders.state, options_.folders.run})
      ::mkdir(each.c_str(), 0755);
    options_.root = ::geteuid() == 0;
    options_.own = current_user();
    options_.app = options_.own;
    if (options_.root) {
      ::chmod(folder_, 0755);
      options_.own = {.name = "own", .uid = 61'190, .gid = 61'190, .home = "/", .groups = {}};
      options_.app = {.name = "app", .uid = 61'191, .gid = 61'191, .home = "/", .groups = {}};
    }
    options_.isolation = possible_isolation();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  StartInstance good() const {
    StartInstance record;
    record.port = 20'001;
    (void)record.site.set("shop");
    (void)record.folder.set("/");
    (void)record.command.set("exit 4");
    return record;
  }
  // Why the record is refused; empty when it is not.
  std::string refusal(const StartInstance& record) {
    Instances instances(options_);
    const Result<const Instances::Running*> running = instances.start(record);
    if (running) ::waitpid((*running)->record.pid, nullptr, 0);
    return running ? "" : describe(running.error());
  }

  char folder_[32] = "/tmp/terrace-instances-XXXXXX";
  Instances::Options options_;
};

TEST_F(InstancesTest, AnInstanceRunsAndItsEndIsKeptUntilItIsHeard) {
  Instances instances(options_);
  const Result<const Instances::Running*> running = instances.start(good());
  ASSERT_TRUE(running) << describe(running.error());
  const pid_t pid = (*running)->record.pid;
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  const Instances::Running* ended = instances.ended(pid, status);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(WEXITSTATUS(ended->ended->status), 4);
  EXPECT_TRUE(instances.empty());
  EXPECT_EQ(instances.all().size(), 1U);
  instances.forget(*ended);
  EXPECT_TRUE(instances.all().empty());
  EXPECT_EQ(instances.ended(pid, status), nullptr);
}

TEST_F(InstancesTest, NobodyElsesUserWhateverTheRecordSays) {
  for (const char* name : {"root", "daemon", "no-such-user"}) {
    if (options_.own.name == name) continue;
    StartInstance record = good();
    (void)record.user.set(name);
    EXPECT_THAT(refusal(record), HasSubstr("app user")) << name;
  }
}

TEST_F(InstancesTest, NoSocketOutsideOfItsFolder) {
  for (const char* path : {"/tmp/x.sock", "", "../x", "/run/app"}) {
    StartInstance record = good();
    record.port = 0;
    (void)record.socket.set(path);
    EXPECT_THAT(refusal(record), HasSubstr("socket")) << path;
  }
  StartInstance record = good();
  record.port = 0;
  (void)record.socket.set(options_.folders.run + "/app/../control.sock");
  EXPECT_THAT(refusal(record), HasSubstr("socket"));
}

TEST_F(InstancesTest, NoNumberOutsideOfItsLimits) {
  StartInstance record = good();
  record.port = 80;
  EXPECT_THAT(refusal(record), HasSubstr("port"));
  record = good();
  record.slot = kSlotsMax + kJobsMax;
  EXPECT_THAT(refusal(record), HasSubstr("too many"));
  record = good();
  record.environment_bytes = static_cast<uint32_t>(record.environment.size()) + 1;
  EXPECT_THAT(refusal(record), HasSubstr("environment"));
  record = good();
  record.memory_bytes = -1;
  EXPECT_THAT(refusal(record), HasSubstr("memory"));
}

TEST_F(InstancesTest, AJobHasAWordForANameAndListensNowhere) {
  StartInstance job = good();
  job.slot = kSlotsMax;
  EXPECT_THAT(refusal(job), HasSubstr("job"));
  (void)job.job.set("build-7");
  EXPECT_THAT(refusal(job), HasSubstr("listens"));
  job.port = 0;
  EXPECT_EQ(refusal(job), "");
  (void)job.job.set("../7");
  EXPECT_THAT(refusal(job), HasSubstr("name"));
  StartInstance instance = good();
  instance.own_program = 1;
  EXPECT_THAT(refusal(instance), HasSubstr("program"));
}

TEST_F(InstancesTest, ReleasesOfAnotherUserAreEmptiedByTheirOwner) {
  if (!options_.root) GTEST_SKIP() << "needs root";
  constexpr uid_t kFormerUser = 61'195;
  const std::string releases = options_.folders.state + "/releases";
  const std::string release = releases + "/3";
  std::filesystem::create_directories(release + "/closed");
  for (const std::string& path : {release, release + "/closed"}) {
    ASSERT_EQ(::chown(path.c_str(), kFormerUser, kFormerUser), 0);
    ASSERT_EQ(::chmod(path.c_str(), 0700), 0);
  }
  StartInstance job = good();
  job.slot = kSlotsMax;
  job.port = 0;
  job.as_owner = 1;
  (void)job.job.set("remove-3");
  (void)job.folder.set(release);
  (void)job.command.set("/usr/bin/find . -mindepth 1 -delete");
  EXPECT_EQ(refusal(job), "");
  EXPECT_TRUE(std::filesystem::is_empty(release));
  EXPECT_FALSE(std::filesystem::exists(options_.folders.state + "/database"))
      << "nothing else is handed over";
}

TEST_F(InstancesTest, NoJobHasTheUserOfAnyOtherFolder) {
  if (!options_.root) GTEST_SKIP() << "needs root";
  std::filesystem::create_directories(options_.folders.state + "/releases/3/inner");
  std::filesystem::create_directories(options_.folders.state + "/releases/4");
  ASSERT_EQ(::chown((options_.folders.state + "/releases/4").c_str(), options_.own.uid, 0), 0);
  std::filesystem::create_symlink("/tmp", options_.folders.state + "/releases/5");
  StartInstance job = good();
  job.slot = kSlotsMax;
  job.port = 0;
  job.as_owner = 1;
  (void)job.job.set("remove-3");
  for (const char* folder : {"/tmp", "/releases/3/inner", "/releases/..", "/releases/3", "/releases/4",
                             "/releases/5", "/releases/6"}) {
    (void)job.folder.set(options_.folders.state + folder);
    EXPECT_NE(refusal(job), "") << folder;
  }
  StartInstance instance = good();
  instance.as_owner = 1;
  EXPECT_THAT(refusal(instance), HasSubstr("user of the app"));
}

TEST_F(InstancesTest, NoNameThatIsAPath) {
  for (const char* name : {"", "..", "a/b", "a b"}) {
    StartInstance record = good();
    (void)record.site.set(name);
    EXPECT_THAT(refusal(record), HasSubstr("name")) << name;
  }
}

}  // namespace
}  // namespace terrace::program

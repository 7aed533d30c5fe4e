#include "program/jobs.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "program/instances.h"

namespace terrace::program {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

// What the supervisor does, in this process: real instances, their ends looked for
// every few milliseconds.
class OwnSupervisor final : public JobStarter {
 public:
  explicit OwnSupervisor(Instances::Options options) : instances_(std::move(options)) {}
  void start_job(const StartInstance& record, int input) override {
    ++started;
    const Result<const Instances::Running*> running = instances_.start(record, input);
    if (running) return jobs->handle((*running)->record, Descriptor(::dup((*running)->started.output.get())));
    InstanceEnded ended{.slot = record.slot, .generation = record.generation};
    (void)ended.error.set(describe(running.error()));
    jobs->handle(ended);
  }
  void signal_job(const SignalInstance& record) override {
    instances_.signal(record.slot, record.generation, record.signal);
  }
  void reap() {
    int status = 0;
    for (pid_t pid = ::waitpid(-1, &status, WNOHANG); pid > 0; pid = ::waitpid(-1, &status, WNOHANG)) {
      const Instances::Running* ended = instances_.ended(pid, status);
      if (ended == nullptr) continue;
      jobs->handle(*ended->ended);
      instances_.forget(*ended);
    }
  }
  bool nothing_runs() const { return instances_.all().empty(); }
  void controller_is_gone() { instances_.end_jobs(); }

  Jobs* jobs = nullptr;
  int started = 0;

 private:
  Instances instances_;
};

class JobsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(folder_), nullptr);
    const std::string base = folder_;
    Instances::Options options;
    options.folders = {.state = base + "/state", .run = base + "/run", .log = base + "/log"};
    for (const std::string& each : {options.folders.state, options.folders.run}) ::mkdir(each.c_str(), 0755);
    options.root = ::geteuid() == 0;
    options.own = current_user();
    options.app = options.own;
    if (options.root) {
      ::chmod(folder_, 0755);
      options.own = {.name = "own", .uid = 61'190, .gid = 61'190, .home = "/", .groups = {}};
      options.app = {.name = "app", .uid = 61'191, .gid = 61'191, .home = "/", .groups = {}};
    }
    options.isolation = possible_isolation();
    program_ = Descriptor(::open("/bin/echo", O_PATH | O_CLOEXEC));
    options.program = program_.get();
    supervisor_ = std::make_unique<OwnSupervisor>(options);
    reactor_ = std::move(*Reactor::create(clock_, {}));
    app_log_ = std::make_unique<AppLog>(clock_);
    jobs_ = std::make_unique<Jobs>(*reactor_, scope_, *app_log_, *supervisor_);
    supervisor_->jobs = jobs_.get();
    auto site = std::make_shared<topology::Site>();
    site->site.name = "shop";
    site->app.grace = milliseconds(200);
    site_ = site;
    scope_.spawn(reap_until_the_end());
  }
  void TearDown() override {
    ending_ = true;
    const bool never = false;
    while (scope_.running() > 0) (void)reactor_->run_until(never, milliseconds(5));
    std::filesystem::remove_all(folder_);
  }

  Task<void> reap_until_the_end() {
    while (!ending_ || !supervisor_->nothing_runs()) {
      supervisor_->reap();
      co_await sleep(*reactor_, milliseconds(4));
    }
  }
  Task<void> run_one(JobPlan plan, JobResult& result, bool& done) {
    result = co_await jobs_->run(site_, std::move(plan),
                                 [this](std::string_view line) { lines_.emplace_back(line); });
    done = true;
  }
  JobPlan plan(const std::string& command) const {
    JobPlan plan;
    plan.name = "build-7";
    plan.command = command;
    plan.folder = "/";
    plan.environment = {{"PATH", "/usr/bin:/bin"}};
    return plan;
  }
  JobResult run(JobPlan plan) {
    JobResult result;
    bool done = false;
    scope_.spawn(run_one(std::move(plan), result, done));
    EXPECT_TRUE(reactor_->run_until(done, std::chrono::seconds(20)));
    return result;
  }

  char folder_[32] = "/tmp/terrace-jobs-XXXXXX";
  SystemClock clock_;
  Descriptor program_;
  Scope scope_;
  bool ending_ = false;
  std::unique_ptr<OwnSupervisor> supervisor_;
  std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<AppLog> app_log_;
  std::unique_ptr<Jobs> jobs_;
  std::shared_ptr<const topology::Site> site_;
  std::vector<std::string> lines_;
};

TEST_F(JobsTest, AJobSaysItsLinesAndHowItEnded) {
  const JobResult result = run(plan("echo one; printf two; exit 3"));
  EXPECT_FALSE(result.success);
  EXPECT_EQ(result.how, "exit status 3");
  EXPECT_THAT(lines_, ElementsAre("one", "two"));
  EXPECT_THAT(result.last_lines, ElementsAre("one", "two"));
}

TEST_F(JobsTest, OfALongOutputAllIsSaidAndTheLastLinesAreKept) {
  const JobResult result = run(plan("i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done"));
  EXPECT_TRUE(result.success);
  EXPECT_THAT(lines_, SizeIs(5000));
  EXPECT_THAT(result.last_lines, SizeIs(kJobLastLines));
  EXPECT_EQ(result.last_lines.back(), "line 4999");
}

TEST_F(JobsTest, AJobReadsItsInputToTheEnd) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  ASSERT_EQ(::write(ends[0], "a\nb\n", 4), 4);
  ::close(ends[0]);
  JobPlan counts = plan("wc -l");
  counts.input = Descriptor(ends[1]);
  EXPECT_TRUE(run(std::move(counts)).success);
  EXPECT_THAT(lines_, ElementsAre(HasSubstr("2")));
}

TEST_F(JobsTest, WithoutInputThereIsNothingToRead) {
  EXPECT_TRUE(run(plan("wc -c")).success);
  EXPECT_THAT(lines_, ElementsAre("0"));
}

TEST_F(JobsTest, OurOwnBinaryRunsWithTheArgumentsAsTheyAre) {
  JobPlan own = plan("");
  own.arguments = {"job-x", "two words", "$HOME;"};
  EXPECT_TRUE(run(std::move(own)).success);
  EXPECT_THAT(lines_, ElementsAre("job-x two words $HOME;"));
  JobPlan broken = plan("");
  broken.arguments = {"a\nb"};
  EXPECT_THAT(run(std::move(broken)).how, HasSubstr("line end"));
}

TEST_F(JobsTest, WhatTakesTooLongIsTerminatedThenKilled) {
  JobPlan stubborn = plan("trap '' TERM; while :; do sleep 0.01; done");
  stubborn.limit = milliseconds(100);
  const JobResult result = run(std::move(stubborn));
  EXPECT_FALSE(result.success);
  EXPECT_THAT(result.how, HasSubstr("9"));
}

TEST_F(JobsTest, NothingOfAJobOutlivesItsController) {
  JobResult result;
  bool done = false;
  scope_.spawn(run_one(plan("setsid sleep 300 & sleep 300"), result, done));
  EXPECT_TRUE(jobs_->running("build-7"));
  supervisor_->controller_is_gone();
  EXPECT_TRUE(reactor_->run_until(done, std::chrono::seconds(20)));
  EXPECT_FALSE(result.success);
}

TEST_F(JobsTest, ANameThatIsNoWordIsRefused) {
  JobPlan bad = plan("true");
  bad.name = "../x";
  EXPECT_THAT(run(std::move(bad)).how, HasSubstr("not started"));
}

}  // namespace
}  // namespace terrace::program

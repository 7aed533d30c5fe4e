#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "cluster/shared_state_fixture.h"

namespace terrace::cluster {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr const char* kOne = "web1=http://127.0.0.1:1,web2=http://127.0.0.2:1";
constexpr const char* kAll = "web1=http://127.0.0.1:1,web2=http://127.0.0.2:1,web3=http://127.0.0.3:1";

// When a server starts etcd, and with what: a program in its place tells.
class OwnEtcdTest : public testing::Test {
 protected:
  void begin(const std::string& script) {
    const std::string program = tools_.path + "/etcd";
    ASSERT_TRUE(write_file(program, "#!/bin/sh\n" + script, 0700));
    EtcdOptions etcd;
    etcd.program = program;
    web2_ = std::make_unique<Server>(*reactor_, log_, "web2", reached_, etcd);
    reached_["web1"] = &web1_.state;
    ASSERT_TRUE(web1_.state.open());
    ASSERT_TRUE(web1_.state.found());
  }
  void join() {
    ASSERT_TRUE(web2_->state.open());
    web2_->state.join(web1_.state.placement());
    web2_->state.use({{"web1", "http://127.0.0.1:1"}, {"web2", "http://127.0.0.2:1"}});
  }
  void TearDown() override {
    finish(web2_->state.close());
    finish(web1_.state.close());
  }
  std::string path(const char* name) const { return web2_->folder.path + "/etcd/" + name; }

  void finish(Task<void> task) {
    bool done = false;
    scope_.spawn(wait(std::move(task), done));
    EXPECT_TRUE(reactor_->run_until(done, 10s));
  }
  static Task<void> wait(Task<void> task, bool& done) {
    co_await task;
    done = true;
  }
  Task<void> tell_voters(std::string voters) {
    Commit commit;
    commit.writes.push_back({kVotersKey, voters});
    const Committed told = co_await web1_.state.commit(std::move(commit), reactor_->now() + 5s);
    EXPECT_TRUE(told.done());
  }
  Task<void> until_started_with(std::string voters) {
    for (;;) {
      const Result<std::string> arguments = read_file(path("arguments"), 1 << 16);
      if (arguments && arguments->find("--initial-cluster=" + voters + " ") != std::string::npos) co_return;
      co_await sleep(*reactor_, 10ms);
    }
  }
  Task<void> until_gone(std::string file) {
    while (std::filesystem::exists(file)) co_await sleep(*reactor_, 10ms);
  }

  SystemClock clock_;
  Log log_{"test", LogLevel::kError};
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  std::map<std::string, SharedState*> reached_;
  TestFolder tools_;
  Server web1_{*reactor_, log_, "web1", reached_};
  std::unique_ptr<Server> web2_;
  Scope scope_;
};

TEST_F(OwnEtcdTest, WhatNeverJoinedIsToldTheMembersAsTheyAre) {
  begin("echo \"$@\" > arguments\nexec sleep 60\n");
  // Left by one that could not reach the others: no log yet.
  ASSERT_TRUE(make_folders(path("data/member/snap")));
  finish(tell_voters(kOne));
  join();
  finish(until_started_with(kOne));
  finish(tell_voters(kAll));
  finish(until_started_with(kAll));
}

TEST_F(OwnEtcdTest, OneThatDoesNotEndWhenToldToIsKilledAndStartedAnew) {
  begin("test -e arguments || trap '' TERM\necho \"$@\" > arguments\nexec sleep 60\n");
  finish(tell_voters(kOne));
  join();
  finish(until_started_with(kOne));
  finish(tell_voters(kAll));
  finish(until_started_with(kAll));
}

TEST_F(OwnEtcdTest, AMemberThatWasTakenOutWhileItWasAwayComesInAnew) {
  begin(
      "echo \"$@\" > arguments\n"
      "test -d data/member/wal || exec sleep 60\n"
      "echo '{\"level\":\"warn\",\"msg\":\"server error\",\"error\":"
      "\"the member has been permanently removed from the cluster\"}' >&2\n");
  ASSERT_TRUE(make_folders(path("data/member/wal")));
  finish(tell_voters(kOne));
  join();
  finish(until_gone(path("data/member/wal")));
  finish(until_started_with(kOne));
}

}  // namespace
}  // namespace terrace::cluster

#include <gtest/gtest.h>

#include "base/file.h"
#include "cluster/shared_state_fixture.h"

namespace terrace::cluster {
namespace {

using namespace std::chrono_literals;

class TakeOverTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(web1_.state.open());
    ASSERT_TRUE(web1_.state.found());
    ASSERT_TRUE(web2_.state.open());
    web2_.state.join(web1_.state.placement());
    reached_["web1"] = &web1_.state;
  }
  void TearDown() override {
    for (Server* server : {&web1_, &web2_}) finish(server->state.close());
  }
  void finish(Task<void> task) {
    bool done = false;
    scope_.spawn(wait(std::move(task), done));
    EXPECT_TRUE(reactor_->run_until(done, 30s));
  }
  static Task<void> wait(Task<void> task, bool& done) {
    co_await task;
    done = true;
  }
  Task<void> put(SharedState& state, std::string key, std::string value) {
    const Committed put = co_await state.put(std::move(key), std::move(value), 0, reactor_->now() + 5s);
    EXPECT_TRUE(put.done()) << put.text;
  }
  Task<void> until(bool (*reached)(const Server&, const Server&)) {
    while (!reached(web1_, web2_)) co_await sleep(*reactor_, 10ms);
  }
  Task<void> until_on_disk(std::string path, std::string text) {
    Result<std::string> read = read_file(path, 1 << 20);
    while (!read || !read->contains(text)) {
      co_await sleep(*reactor_, 10ms);
      read = read_file(path, 1 << 20);
    }
  }

  SkippingClock clock_;
  Log log_{"test", LogLevel::kError};
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  std::map<std::string, SharedState*> reached_;
  Server web1_{*reactor_, log_, "web1", reached_};
  Server web2_{*reactor_, log_, "web2", reached_};
  Scope scope_;
};

TEST_F(TakeOverTest, OnlyWhatNobodyHasHeldForAWhileIsTakenAndTheNewOneHoldsIt) {
  EXPECT_EQ(web2_.state.take_over().error().code, Code::kUnavailable);
  finish(put(web1_.state, "site", "one"));
  finish(put(web1_.state, kVotersKey, "web1=https://10.0.0.1:7401"));
  finish(until([](const Server&, const Server& web2) {
    return web2.state.copy().entries().find(kVotersKey) != nullptr;
  }));
  EXPECT_EQ(web2_.state.take_over().error().code, Code::kUnavailable);

  // The question that is under way is still answered, none after it.
  reached_.clear();
  finish(put(web1_.state, "release", "7"));
  finish(until([](const Server&, const Server& web2) {
    return web2.state.copy().entries().find("release") != nullptr;
  }));
  clock_.skip(11s);
  finish(until([](const Server&, const Server& web2) { return !web2.state.heard(SharedState::kSilence); }));
  const auto taken = web2_.state.take_over();
  ASSERT_TRUE(taken) << describe(taken.error());
  finish(put(web2_.state, "drains/web1", "yes"));
  EXPECT_EQ(web2_.state.copy().entries().find("site")->value, "one");
  // Etcd's members of before are nobody's any more.
  finish(until([](const Server&, const Server& web2) {
    return web2.state.copy().entries().find(kVotersKey) == nullptr;
  }));

  // Who comes back learns that it has been replaced.
  reached_ = {{"web1", &web1_.state}, {"web2", &web2_.state}};
  web1_.state.use({{"web1", "https://10.0.0.1:7401"}, {"web2", "https://10.0.0.2:7401"}});
  finish(until([](const Server& web1, const Server&) { return !web1.state.holds(); }));
  finish(until([](const Server& web1, const Server&) {
    return web1.state.copy().entries().find("drains/web1") != nullptr;
  }));
}

TEST_F(TakeOverTest, AServerThatHoldsNothingKeepsItsCopyOnDisk) {
  finish(put(web1_.state, "site", "one"));
  const std::string file = web2_.folder.path + "/state/last-copy";
  finish(until_on_disk(file, "\"site\""));
}

TEST_F(TakeOverTest, AServerThatKnowsNothingTakesNothingOver) {
  reached_.clear();
  clock_.skip(11s);
  EXPECT_EQ(web2_.state.take_over().error().code, Code::kNotFound);
  EXPECT_FALSE(web2_.state.holds());
}

}  // namespace
}  // namespace terrace::cluster

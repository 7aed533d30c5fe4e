#include "cluster/etcd_state.h"

#include <gtest/gtest.h>

#include "cluster/etcd_fixture.h"
#include "cluster/move.h"

namespace terrace::cluster {
namespace {

using namespace std::chrono_literals;

const Placement kHere{.generation = 2, .keeper = Keeper::kEtcd, .holders = {"a"}, .base = 1000};

// A real etcd of one member.
class EtcdStateTest : public StateTest {
 protected:
  void SetUp() override {
    voter_ = std::make_unique<TestVoter>(*reactor_, log_, folder_.path + "/etcd");
    const std::string url = "http://127.0.0.1:" + std::to_string(free_port("127.0.0.1"));
    ASSERT_TRUE(voter_->process.start({.folder = voter_->folder,
                                       .name = "a",
                                       .peers = {{"a", url}},
                                       .founds = true,
                                       .quota_bytes = quota_}));
  }
  void TearDown() override {
    finish(voter_->state->close());
    finish(voter_->process.close());
  }
  EtcdState& state() { return *voter_->state; }
  void wait_for_majority() {
    bool ready = false;
    scope_.spawn(watch_majority(ready));
    ASSERT_TRUE(reactor_->run_until(ready, 10s));
  }
  void found() {
    wait_for_majority();
    ASSERT_TRUE(run(state().place(kHere, 0, soon())).done());
  }
  Task<void> watch_majority(bool& ready) {
    while (!state().has_majority()) co_await sleep(*reactor_, 10ms);
    ready = true;
  }

  // Follows until what is known satisfies `enough`.
  Entries followed(StateWatch& watch, Entries known, bool (*enough)(const Entries&)) {
    for (int i = 0; i < 20 && !enough(known); ++i) {
      const auto changes = run(watch.next(soon()));
      EXPECT_TRUE(changes);
      if (!changes) break;
      EXPECT_EQ(changes->whole, known.version() == 0);
      known.follow(*changes);
    }
    EXPECT_TRUE(enough(known));
    return known;
  }

  TestFolder folder_;
  int64_t quota_ = kEtcdQuotaBytes;
  std::unique_ptr<TestVoter> voter_;
};

TEST_F(EtcdStateTest, HoldsTheStateOnceItsPlacementSaysSo) {
  wait_for_majority();
  EXPECT_FALSE(state().healthy());
  EXPECT_EQ(run(state().put("site", "one", 0, soon())).outcome, Outcome::kUnavailable);
  EXPECT_EQ(run(state().get("site", soon())).error().code, Code::kUnavailable);
  found();
  EXPECT_TRUE(state().healthy());

  const Committed first = run(state().put("site", "one", 0, soon()));
  ASSERT_TRUE(first.done()) << first.text;
  EXPECT_GT(first.version, kHere.base);
  EXPECT_EQ(*run(state().get("site", soon())).value(), (Entry{"site", "one", first.version}));
  EXPECT_EQ(run(state().put("site", "two", 0, soon())).outcome, Outcome::kRefused);
  EXPECT_EQ(run(state().put("site", "two", 17, soon())).outcome, Outcome::kRefused);
  const Committed second = run(state().put("site", "two", first.version, soon()));
  ASSERT_TRUE(second.done());
  EXPECT_FALSE(run(state().get("drains/a", soon())).value());

  // A watch begins with all and goes on with what changed, removals too.
  const auto watch = state().watch("");
  Entries copy = followed(*watch, {}, [](const Entries& entries) { return entries.find("site") != nullptr; });
  const std::string bytes("\0\xff", 2);
  const Committed drain = run(state().put("drains/a", bytes, 0, soon()));
  ASSERT_TRUE(drain.done());
  copy = followed(*watch, copy, [](const Entries& entries) { return entries.find("drains/a") != nullptr; });
  EXPECT_EQ(*copy.find("drains/a"), (Entry{"drains/a", bytes, drain.version}));
  ASSERT_TRUE(run(state().remove("drains/a", drain.version, soon())).done());
  copy = followed(*watch, copy, [](const Entries& entries) { return entries.find("drains/a") == nullptr; });
  EXPECT_EQ(copy.size(), 1u);

  const auto all = run(state().list("", soon()));
  ASSERT_TRUE(all);
  EXPECT_EQ(all->entries, (std::vector<Entry>{{"site", "two", second.version}}));

  // A value of the largest size fits.
  EXPECT_TRUE(run(state().put("large", std::string(kValueBytesMax, '\xff'), 0, soon())).done());
  EXPECT_EQ(run(state().get("large", soon())).value()->value.size(), kValueBytesMax);

  // When the state is handed over, nothing is read or written here any more.
  Placement moved = kHere;
  moved.generation = 3;
  moved.keeper = Keeper::kCoordinator;
  const int64_t here = state().view().revision;
  ASSERT_TRUE(run(state().place(moved, here, soon())).done());
  // Nor does it come back by who has not heard of that.
  EXPECT_EQ(run(state().place(kHere, here, soon())).outcome, Outcome::kRefused);
  EXPECT_EQ(run(state().put("site", "three", second.version, soon())).outcome, Outcome::kUnavailable);
  EXPECT_EQ(run(state().get("site", soon())).error().code, Code::kUnavailable);
}

TEST_F(EtcdStateTest, AfterATimeElsewhereAWatchBeginsAnew) {
  found();
  ASSERT_TRUE(run(state().put("site", "one", 0, soon())).done());
  Placement moved = kHere;
  ++moved.generation;
  moved.keeper = Keeper::kCoordinator;
  ASSERT_TRUE(run(state().place(moved, state().view().revision, soon())).done());
  // A coordinator has it, and is followed by somebody; then the state comes back.
  const Version elsewhere = kHere.base + 500;
  Placement back{.generation = 4, .keeper = Keeper::kEtcd, .holders = {"a"}, .base = kHere.base + 1000};
  const std::vector<Entry> entries = {{"site", "two", elsewhere}};
  const auto returned = run(move_to_etcd(*voter_->client, {elsewhere, entries}, back, soon()));
  ASSERT_TRUE(returned);
  const auto changes = run(state().published().wait("", elsewhere, soon()));
  ASSERT_TRUE(changes);
  EXPECT_TRUE(changes->whole);
  EXPECT_EQ(changes->entries.size(), 1u);
}

constexpr int64_t kSmallQuota = 12 << 20;

// One that is full after a few large values.
class FullEtcdTest : public EtcdStateTest {
 protected:
  FullEtcdTest() { quota_ = kSmallQuota; }
  bool full() {
    Commit large;
    large.writes.push_back({"large", std::string(kValueBytesMax, 'x')});
    large.writes.push_back({"other", std::string(kValueBytesMax - 10, 'y')});
    return !run(state().commit(std::move(large), soon())).done();
  }
};

TEST_F(FullEtcdTest, TakesWritesAgainOnceRoomIsMade) {
  found();
  for (int i = 0; i < 20 && !full(); ++i) {
  }
  const Committed refused = run(state().put("site", "one", 0, soon()));
  EXPECT_EQ(refused.outcome, Outcome::kUnknown);
  const auto made = run(make_room(*voter_->client, kSmallQuota, soon(5s)));
  ASSERT_TRUE(made) << describe(made.error());
  const Committed put = run(state().put("site", "one", 0, soon()));
  EXPECT_TRUE(put.done()) << put.text;
  EXPECT_EQ(run(state().get("large", soon())).value()->value.size(), kValueBytesMax);
}

}  // namespace
}  // namespace terrace::cluster

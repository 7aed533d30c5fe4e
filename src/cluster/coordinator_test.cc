#include "cluster/coordinator.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cluster/state_fixture.h"

namespace terrace::cluster {
namespace {

using namespace std::chrono_literals;

class CoordinatorTest : public StateTest {
 protected:
  void TearDown() override { finish(state_.close()); }
  Coordinator state_{*reactor_, log_, {}};
};

TEST_F(CoordinatorTest, KeepsWhatWasPut) {
  const Committed first = run(state_.put("site", "one", 0, soon()));
  ASSERT_TRUE(first.done()) << first.text;
  const auto got = run(state_.get("site", soon()));
  ASSERT_TRUE(got && *got);
  EXPECT_EQ(**got, (Entry{"site", "one", first.version}));
  EXPECT_EQ(run(state_.put("site", "two", 0, soon())).outcome, Outcome::kRefused);
  EXPECT_TRUE(run(state_.put("site", "two", first.version, soon())).done());
}

TEST_F(CoordinatorTest, AWatchBeginsWithAllAndGoesOnWithChanges) {
  ASSERT_TRUE(run(state_.put("drains/web1", "1", 0, soon())).done());
  const auto watch = state_.watch("drains/");
  const auto first = run(watch->next(soon()));
  ASSERT_TRUE(first && first->whole);
  EXPECT_EQ(first->entries.size(), 1u);
  EXPECT_EQ(run(watch->next(soon(10ms))).error().code, Code::kTimeout);
  ASSERT_TRUE(run(state_.put("site", "one", 0, soon())).done());
  ASSERT_TRUE(run(state_.remove("drains/web1", first->entries[0].version, soon())).done());
  const auto second = run(watch->next(soon()));
  ASSERT_TRUE(second && !second->whole);
  EXPECT_EQ(second->removed, std::vector<std::string>{"drains/web1"});
}

TEST_F(CoordinatorTest, AWatchOfAnEmptyStateTellsThatOnce) {
  const auto watch = state_.watch("");
  const auto first = run(watch->next(soon()));
  EXPECT_TRUE(first && first->whole && first->entries.empty());
  EXPECT_EQ(run(watch->next(soon(10ms))).error().code, Code::kTimeout);
}

const Placement kHere{.generation = 1, .holders = {"web1"}};
const Placement kElsewhere{.generation = 2, .keeper = Keeper::kEtcd, .holders = {"web1", "web2", "web3"}};

class DurableCoordinatorTest : public StateTest {
 protected:
  void SetUp() override { begin(Journal::create(folder_.path, {.version = 1}, kHere).value(), {}); }
  void TearDown() override { finish(state_->close()); }
  void begin(std::unique_ptr<Journal> journal, Journal::Contents contents) {
    if (contents.placement.generation == 0) contents.placement = kHere;
    state_ = std::make_unique<Coordinator>(*reactor_, log_, std::move(journal), std::move(contents));
  }
  void restart() {
    finish(state_->close());
    state_.reset();
    Journal::Contents contents;
    auto journal = Journal::open(folder_.path, contents).value();
    begin(std::move(journal), std::move(contents));
  }

  TestFolder folder_;
  std::unique_ptr<Coordinator> state_;
};

TEST_F(DurableCoordinatorTest, WhatWasAnsweredIsThereAfterAStart) {
  const Committed first = run(state_->put("site", "one", 0, soon()));
  ASSERT_TRUE(first.done());
  ASSERT_TRUE(run(state_->put("drains/web1", "yes", 0, soon())).done());
  ASSERT_TRUE(run(state_->put("site", "two", first.version, soon())).done());
  restart();
  EXPECT_EQ(run(state_->get("site", soon())).value()->value, "two");
  EXPECT_EQ(run(state_->list("", soon()))->entries.size(), 2u);
  EXPECT_EQ(state_->placement(), kHere);
}

TEST_F(DurableCoordinatorTest, OfTwoWhoReadTheSameOneWins) {
  std::optional<Committed> outcomes[2];
  bool done = false;
  const auto put = [](State& state, Time deadline, std::optional<Committed>& into,
                      std::optional<Committed>& other, bool& both) -> Task<void> {
    Committed committed = co_await state.put("deploy", "me", 0, deadline);
    into = std::move(committed);
    both = other.has_value();
  };
  scope_.spawn(put(*state_, soon(), outcomes[0], outcomes[1], done));
  scope_.spawn(put(*state_, soon(), outcomes[1], outcomes[0], done));
  ASSERT_TRUE(reactor_->run_until(done, 5s));
  EXPECT_TRUE(outcomes[0]->done());
  EXPECT_EQ(outcomes[1]->outcome, Outcome::kRefused);
}

TEST_F(DurableCoordinatorTest, WhileItIsMovedNobodyReadsOrWrites) {
  ASSERT_TRUE(run(state_->place(kElsewhere, true, soon())).done());
  EXPECT_EQ(run(state_->put("site", "one", 0, soon())).outcome, Outcome::kUnavailable);
  EXPECT_EQ(run(state_->get("site", soon())).error().code, Code::kUnavailable);
  restart();
  EXPECT_TRUE(state_->moving());
  EXPECT_EQ(state_->placement(), kElsewhere);
  ASSERT_TRUE(run(state_->place(kHere, false, soon())).done());
  EXPECT_TRUE(run(state_->put("site", "one", 0, soon())).done());
}

TEST_F(DurableCoordinatorTest, AfterItHasMovedNobodyReadsOrWrites) {
  ASSERT_TRUE(run(state_->place(kElsewhere, true, soon())).done());
  ASSERT_TRUE(run(state_->place(kElsewhere, false, soon())).done());
  EXPECT_FALSE(state_->healthy());
  EXPECT_EQ(run(state_->put("site", "one", 0, soon())).outcome, Outcome::kUnavailable);
  EXPECT_EQ(run(state_->get("site", soon())).error().code, Code::kUnavailable);
}

TEST_F(CoordinatorTest, WhatWaitsForTheDiskHasALimitInBytes) {
  std::vector<Outcome> outcomes;
  const auto put = [](State& state, int i, Time deadline, std::vector<Outcome>& into) -> Task<void> {
    Commit large;
    large.writes.push_back({"a" + std::to_string(i), std::string(kValueBytesMax - 10, 'x')});
    const Committed committed = co_await state.commit(std::move(large), deadline);
    into.push_back(committed.outcome);
  };
  constexpr size_t kFit = Coordinator::kWaitingBytesMax / kValueBytesMax;
  for (size_t i = 0; i < kFit + 3; ++i) scope_.spawn(put(state_, static_cast<int>(i), soon(), outcomes));
  bool all = false;
  const auto wait = [](Reactor& reactor, const std::vector<Outcome>& list, bool& done) -> Task<void> {
    while (list.size() < kFit + 3) co_await sleep(reactor, 1ms);
    done = true;
  };
  scope_.spawn(wait(*reactor_, outcomes, all));
  ASSERT_TRUE(reactor_->run_until(all, 10s));
  EXPECT_EQ(std::ranges::count(outcomes, Outcome::kUnavailable), 3);
  // It was a moment's matter.
  EXPECT_TRUE(run(state_.put("site", "one", 0, soon())).done());
}

TEST_F(CoordinatorTest, OneWhoseDiskWentBackNoticesWhenAnotherHasSeenMore) {
  const Committed put = run(state_.put("site", "one", 0, soon()));
  const auto ask = [&](Version since) { return run(answer(state_, WatchRequest{.since = since}, soon())); };
  EXPECT_TRUE(std::holds_alternative<Nothing>(ask(put.version)));
  EXPECT_TRUE(std::holds_alternative<Unanswered>(ask(put.version + 1)));
  EXPECT_FALSE(state_.healthy());
  EXPECT_EQ(run(state_.put("site", "two", put.version, soon())).outcome, Outcome::kUnavailable);
  EXPECT_EQ(run(state_.get("site", soon())).error().code, Code::kUnavailable);
}

TEST_F(DurableCoordinatorTest, ADeadlineThatPassedIsNoCommitUnlessTheDiskHasIt) {
  const Committed late = run(state_->put("site", "one", 0, clock_.now() - 1s));
  // What the disk did before anybody looked at the clock is done.
  const auto got = run(state_->get("site", soon()));
  ASSERT_TRUE(got);
  if (late.outcome == Outcome::kUnavailable) EXPECT_FALSE(*got);
  if (late.outcome == Outcome::kDone) EXPECT_TRUE(*got);
  EXPECT_TRUE(late.outcome != Outcome::kRefused && late.outcome != Outcome::kInvalid);
}

}  // namespace
}  // namespace terrace::cluster

#include "cluster/remote_state.h"

#include <gtest/gtest.h>

#include <map>

#include "base/file.h"
#include "cluster/coordinator.h"
#include "cluster/last_copy.h"
#include "cluster/state_fixture.h"

namespace terrace::cluster {
namespace {

using namespace std::chrono_literals;

// Carries requests to servers of this process, or loses them as the test says.
class ScriptedTransport final : public StateTransport {
 public:
  enum class Way : uint8_t { kOpen, kCut, kAnswerLost };
  Task<Result<std::string>> ask(std::string server, std::string request, Time deadline) override {
    ++asked[server];
    const auto found = servers.find(server);
    if (found == servers.end() || ways[server] == Way::kCut) co_return fail(Code::kUnavailable, "connect");
    Result<StateRequest> parsed = parse_state_request(request);
    if (!parsed) co_return std::unexpected(parsed.error());
    StateRequest taken = std::move(*parsed);
    const StateAnswer answered = co_await answer(*found->second, std::move(taken), deadline);
    if (ways[server] == Way::kAnswerLost) co_return fail(Code::kClosed, "read");
    co_return to_json(answered);
  }

  std::map<std::string, LocalState*> servers;
  std::map<std::string, Way> ways;
  std::map<std::string, int> asked;
};

using Way = ScriptedTransport::Way;

class RemoteStateTest : public StateTest {
 protected:
  void SetUp() override { transport_.servers["web1"] = &coordinator_; }
  void TearDown() override { finish(coordinator_.close()); }

  Coordinator coordinator_{*reactor_, log_, {}};
  ScriptedTransport transport_;
  RemoteState state_{*reactor_, transport_, {.generation = 1, .holders = {"web1"}}};
};

TEST_F(RemoteStateTest, AsksWhoHoldsTheState) {
  const Committed put = run(state_.put("site", "one", 0, soon()));
  ASSERT_TRUE(put.done());
  EXPECT_EQ(*run(state_.get("site", soon())).value(), (Entry{"site", "one", put.version}));
  EXPECT_FALSE(run(state_.get("other", soon())).value());
  EXPECT_EQ(run(state_.list("", soon()))->entries.size(), 1u);
  EXPECT_EQ(run(state_.put("site", "two", 0, soon())).outcome, Outcome::kRefused);
}

TEST_F(RemoteStateTest, ACommitWhoseAnswerWasLostIsUnknownAndNotTriedAgain) {
  transport_.ways["web1"] = Way::kAnswerLost;
  EXPECT_EQ(run(state_.put("site", "one", 0, soon())).outcome, Outcome::kUnknown);
  EXPECT_EQ(transport_.asked["web1"], 1);
  transport_.ways["web1"] = Way::kOpen;
  EXPECT_TRUE(run(state_.get("site", soon())).value());
}

TEST_F(RemoteStateTest, WhatWasNeverSentIsUnavailableAtTheDeadline) {
  transport_.ways["web1"] = Way::kCut;
  EXPECT_EQ(run(state_.put("site", "one", 0, soon(250ms))).outcome, Outcome::kUnavailable);
  EXPECT_EQ(run(state_.get("site", soon(250ms))).error().code, Code::kUnavailable);
  EXPECT_GT(transport_.asked["web1"], 2);
}

TEST_F(RemoteStateTest, GoesOnToTheNextHolderAndStaysThere) {
  RemoteState state(*reactor_, transport_,
                    {.generation = 1, .keeper = Keeper::kEtcd, .holders = {"gone", "web1"}});
  ASSERT_TRUE(run(state.get("site", soon())));
  ASSERT_TRUE(run(state.get("site", soon())));
  EXPECT_EQ(transport_.asked["gone"], 1);
}

TEST_F(RemoteStateTest, LearnsWhereTheStateHasMovedTo) {
  Coordinator second(*reactor_, log_, {.version = 500});
  transport_.servers["web2"] = &second;
  const Placement moved{.generation = 2, .holders = {"web2"}};
  ASSERT_TRUE(run(coordinator_.place(moved, true, soon())).done());
  const Committed put = run(state_.put("site", "one", 0, soon()));
  EXPECT_EQ(put.version, 501);
  EXPECT_EQ(state_.placement(), moved);
  finish(second.close());
}

TEST_F(RemoteStateTest, AWatchGoesOnAfterACut) {
  const auto watch = state_.watch("");
  ASSERT_TRUE(run(watch->next(soon()))->whole);
  transport_.ways["web1"] = Way::kCut;
  ASSERT_TRUE(run(coordinator_.put("site", "one", 0, soon())).done());
  EXPECT_EQ(run(watch->next(soon(150ms))).error().code, Code::kUnavailable);
  transport_.ways["web1"] = Way::kOpen;
  const auto changes = run(watch->next(soon()));
  ASSERT_TRUE(changes && !changes->whole);
  EXPECT_EQ(changes->entries[0].key, "site");
}

class LastCopyTest : public RemoteStateTest {
 protected:
  Task<void> wait_for(LastCopy& copy, std::string key, bool& there) {
    while (copy.entries().find(key) == nullptr) co_await sleep(*reactor_, 5ms);
    there = true;
  }
  void expect(LastCopy& copy, const char* key) {
    bool there = false;
    scope_.spawn(wait_for(copy, key, there));
    EXPECT_TRUE(reactor_->run_until(there, 5s));
  }
  TestFolder folder_;
};

TEST_F(LastCopyTest, IsThereAfterAStartWhenNobodyAnswers) {
  {
    LastCopy copy(*reactor_, log_, folder_.path);
    ASSERT_TRUE(copy.load());
    copy.place({.generation = 7, .holders = {"web1"}});
    copy.follow(coordinator_.watch(""));
    ASSERT_TRUE(run(coordinator_.put("site", "one", 0, soon())).done());
    expect(copy, "site");
    EXPECT_TRUE(copy.heard());
    coordinator_.published().close();
    finish(copy.close());
  }
  LastCopy again(*reactor_, log_, folder_.path);
  ASSERT_TRUE(again.load());
  EXPECT_EQ(again.entries().find("site")->value, "one");
  EXPECT_EQ(again.placement().generation, 7);
  EXPECT_FALSE(again.heard());
  const auto watch = again.watch("site");
  EXPECT_TRUE(run(watch->next(soon()))->whole);
}

TEST_F(LastCopyTest, ADamagedFileIsSaidAndHoldsNothing) {
  ASSERT_TRUE(write_file(folder_.path + "/last-copy", "00000000 {}\n"));
  LastCopy copy(*reactor_, log_, folder_.path);
  EXPECT_EQ(copy.load().error().code, Code::kInvalid);
  EXPECT_EQ(copy.entries().size(), 0u);
}

}  // namespace
}  // namespace terrace::cluster

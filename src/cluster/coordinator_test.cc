#include "cluster/coordinator.h"

#include <gtest/gtest.h>

#include "cluster/state_fixture.h"

namespace terrace::cluster {
namespace {

using namespace std::chrono_literals;

class CoordinatorTest : public StateTest {
 protected:
  Coordinator state_{*reactor_, {}};
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

}  // namespace
}  // namespace terrace::cluster

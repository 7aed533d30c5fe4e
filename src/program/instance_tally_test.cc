#include "program/instance_tally.h"

#include <gtest/gtest.h>

namespace terrace::program {
namespace {

using std::chrono::milliseconds;

// Two cores, and what they hold of instances.
class InstanceTallyTest : public testing::Test {
 protected:
  InstanceTally::PerCore note(uint32_t slot, uint32_t generation, InstanceState state, uint64_t recipe = 1) {
    InstanceUpdate record{.slot = slot, .generation = generation, .state = state, .recipe = recipe};
    record.name.set("app-1");
    return tally_.note(record);
  }
  Stats stats() {
    Stats stats;
    tally_.write(stats);
    return stats;
  }
  InstanceTally tally_{2};
};

TEST_F(InstanceTallyTest, SumsOverTheCores) {
  const InstanceTally::PerCore cores = note(0, 1, InstanceState::kUp);
  cores[0]->requests.add(3);
  cores[1]->requests.add(4);
  cores[1]->errors.add(2);
  cores[0]->failures.add(1);
  cores[0]->duration.observe(milliseconds(1));
  const Stats said = stats();
  ASSERT_EQ(said.instances_count, 1u);
  EXPECT_EQ(said.instances[0].requests, 7u);
  EXPECT_EQ(said.instances[0].errors, 2u);
  EXPECT_EQ(said.instances[0].failures, 1u);
  ASSERT_EQ(said.recipes_count, 1u);
  EXPECT_EQ(said.recipes[0].requests, 7u);
  EXPECT_EQ(said.recipes[0].durations[1], 1u);
}

TEST_F(InstanceTallyTest, TheOldAndTheNewOneInASlotAreToldApart) {
  const InstanceTally::PerCore old = note(0, 1, InstanceState::kDraining, 1);
  const InstanceTally::PerCore fresh = note(0, 2, InstanceState::kUp, 2);
  old[0]->requests.add(5);
  fresh[0]->requests.add(8);
  const Stats said = stats();
  ASSERT_EQ(said.instances_count, 2u);
  EXPECT_EQ(said.instances[0].requests, 5u);
  EXPECT_EQ(said.instances[1].requests, 8u);
  EXPECT_EQ(said.recipes[0].requests, 5u);
  EXPECT_EQ(said.recipes[1].requests, 8u);
  const std::vector<monitor::InstanceTotals> totals = tally_.totals();
  ASSERT_EQ(totals.size(), 1u);
  EXPECT_EQ(totals[0].requests, 13u);
  EXPECT_EQ(totals[0].restarts, 1u);
  EXPECT_TRUE(totals[0].up);
}

TEST_F(InstanceTallyTest, WhatACrashedOneCountedStaysWithItsSlotAndItsRecipe) {
  InstanceTally::PerCore crashed = note(0, 1, InstanceState::kUp);
  crashed[0]->requests.add(5);
  crashed[0]->failures.add(5);
  note(0, 1, InstanceState::kDown);
  // A request is in flight still: the core goes on counting.
  EXPECT_EQ(stats().instances_count, 1u);
  crashed[0]->failures.add(1);
  crashed.clear();
  EXPECT_EQ(stats().instances_count, 0u);
  const InstanceTally::PerCore next = note(0, 2, InstanceState::kUp);
  next[0]->requests.add(2);
  EXPECT_EQ(stats().recipes[0].failures, 6u);
  EXPECT_EQ(stats().recipes[0].requests, 7u);
  EXPECT_EQ(tally_.totals()[0].requests, 7u);
}

TEST_F(InstanceTallyTest, OneThatIsOnlyToldOfAsGoneIsNothingNew) {
  EXPECT_TRUE(note(0, 1, InstanceState::kDown).empty());
  EXPECT_EQ(stats().instances_count, 0u);
}

TEST_F(InstanceTallyTest, AManyTimesFailedReleaseDoesNotDisplaceTheOneThatServes) {
  const InstanceTally::PerCore serves = note(0, 1, InstanceState::kUp, 1);
  serves[0]->requests.add(9);
  for (uint32_t each = 2; each < 50; ++each) note(0, each, InstanceState::kStarting, each);
  const Stats said = stats();
  EXPECT_EQ(said.recipes_count, kRecipesMax);
  EXPECT_EQ(said.recipes[0].recipe, 1u);
  EXPECT_EQ(said.recipes[0].requests, 9u);
  EXPECT_EQ(said.recipes[kRecipesMax - 1].recipe, 49u);
}

}  // namespace
}  // namespace terrace::program

#include "cluster/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/etcd_process.h"
#include "topology/forms.h"

namespace terrace::cluster {
namespace {

using testing::ElementsAre;

const std::vector<std::string> kFive = {"a", "b", "c", "d", "e"};

TEST(Placement, OneOrTwoServersHaveACoordinator) {
  const std::vector<std::string> two = {"a", "b"};
  EXPECT_EQ(chosen(two, {}).keeper, Keeper::kCoordinator);
  EXPECT_THAT(chosen(two, {}).holders, ElementsAre("a"));
  EXPECT_THAT(chosen(two, {.holders = {"b"}}).holders, ElementsAre("b"));
}

TEST(Placement, ThreeVotersFromThreeServersOnInTheOrderOfTheFile) {
  EXPECT_EQ(chosen(kFive, {}).keeper, Keeper::kEtcd);
  EXPECT_THAT(chosen(kFive, {}).holders, ElementsAre("a", "b", "c"));
}

TEST(Placement, WhoHoldsTheStateStaysWhileInTheFile) {
  EXPECT_THAT(chosen(kFive, {.holders = {"e"}}).holders, ElementsAre("e", "a", "b"));
  const Placement now{.generation = 3, .keeper = Keeper::kEtcd, .holders = {"x", "d", "e"}, .base = 7};
  EXPECT_THAT(chosen(kFive, now).holders, ElementsAre("d", "e", "a"));
  EXPECT_EQ(chosen(kFive, now).base, 7);
}

TEST(Placement, AShrinkingSiteGoesBackToOneOfItsVoters) {
  const std::vector<std::string> two = {"a", "e"};
  const Placement next = chosen(two, {.keeper = Keeper::kEtcd, .holders = {"c", "e", "d"}});
  EXPECT_EQ(next.keeper, Keeper::kCoordinator);
  EXPECT_THAT(next.holders, ElementsAre("e"));
}

// Every certificate has its server's name where a voter's has this one as well.
TEST(Placement, NoServerCanHaveTheNameThatOnlyVotersHave) {
  EXPECT_EQ(topology::server_name().check("voter"), "");
  EXPECT_NE(topology::server_name().check(kVoterName), "");
}

}  // namespace
}  // namespace terrace::cluster

#include "cluster/etcd_members.h"

#include <gtest/gtest.h>

namespace terrace::cluster {
namespace {

using Kind = EtcdStep::Kind;

const EtcdPeer kA{"a", "https://10.0.0.1:7401"};
const EtcdPeer kB{"b", "https://10.0.0.2:7401"};
const EtcdPeer kC{"c", "https://10.0.0.3:7401"};
const std::vector<EtcdPeer> kWanted = {kA, kB, kC};

EtcdMember voter(uint64_t id, const EtcdPeer& peer) {
  return {.id = id, .name = peer.name, .peer_url = peer.url};
}
EtcdMember learner(uint64_t id, const EtcdPeer& peer) {
  return {.id = id, .peer_url = peer.url, .learner = true};
}

TEST(EtcdMembers, ServersComeInOneByOneWithoutAVoteAtFirst) {
  std::vector<EtcdMember> members = {voter(1, kA)};
  EXPECT_EQ(next_step(members, kWanted, {}), (EtcdStep{.kind = Kind::kAdd, .url = kB.url}));
  members.push_back(learner(2, kB));
  EXPECT_EQ(next_step(members, kWanted, {}), (EtcdStep{.kind = Kind::kPromote, .id = 2}));
  members[1] = voter(2, kB);
  EXPECT_EQ(next_step(members, kWanted, {}), (EtcdStep{.kind = Kind::kAdd, .url = kC.url}));
  members.push_back(voter(3, kC));
  EXPECT_FALSE(next_step(members, kWanted, {}));
}

TEST(EtcdMembers, WhoLeavesGoesWhenTheOthersHaveTheirVotes) {
  const EtcdPeer old{"x", "https://10.0.0.9:7401"};
  std::vector<EtcdMember> members = {voter(1, kA), voter(9, old), voter(2, kB)};
  EXPECT_EQ(next_step(members, kWanted, {})->kind, Kind::kAdd);
  members.push_back(learner(3, kC));
  EXPECT_EQ(next_step(members, kWanted, {})->kind, Kind::kPromote);
  members[3] = voter(3, kC);
  EXPECT_EQ(next_step(members, kWanted, {}), (EtcdStep{.kind = Kind::kRemove, .id = 9}));
}

TEST(EtcdMembers, AMemberWithAnEmptyDiskComesInAnew) {
  const std::vector<std::string> lost = {kB.url};
  const std::vector<EtcdMember> members = {voter(1, kA), voter(2, kB), voter(3, kC)};
  EXPECT_EQ(next_step(members, kWanted, lost), (EtcdStep{.kind = Kind::kRemove, .id = 2}));
}

TEST(EtcdMembers, WhoLeavesGoesFirstWhenEtcdTakesNobodyIn) {
  const EtcdPeer old{"x", "https://10.0.0.9:7401"};
  std::vector<EtcdMember> members = {voter(1, kA), voter(2, kB), voter(9, old)};
  const EtcdStep add = next_step(members, kWanted, {}).value();
  EXPECT_EQ(step_instead(add, members, kWanted), (EtcdStep{.kind = Kind::kRemove, .id = 9}));
  members.pop_back();
  EXPECT_FALSE(step_instead(add, members, kWanted));
  EXPECT_FALSE(step_instead({.kind = Kind::kPromote, .id = 3}, members, kWanted));
}

TEST(EtcdMembers, ALearnerThatNobodyWantsGoes) {
  const EtcdPeer old{"x", "https://10.0.0.9:7401"};
  const std::vector<EtcdMember> members = {voter(1, kA), learner(9, old)};
  EXPECT_EQ(next_step(members, kWanted, {}), (EtcdStep{.kind = Kind::kRemove, .id = 9}));
}

TEST(EtcdMembers, AreWrittenAsEtcdDoes) {
  EXPECT_EQ(to_text(kWanted), "a=https://10.0.0.1:7401,b=https://10.0.0.2:7401,c=https://10.0.0.3:7401");
  EXPECT_EQ(parse_peers(to_text(kWanted)), kWanted);
  for (const char* odd : {"a", "a=", "=https://x", "a=ftp://x", "a=https://x,,b=https://y", "a/=https://x"})
    EXPECT_FALSE(parse_peers(odd)) << odd;
}

}  // namespace
}  // namespace terrace::cluster

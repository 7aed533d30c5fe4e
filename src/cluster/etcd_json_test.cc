#include "cluster/etcd_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/etcd_process.h"

namespace terrace::cluster {
namespace {

using testing::Contains;
using testing::HasSubstr;

// As etcd 3.4.23 answers.
constexpr const char* kHeader =
    R"("header":{"cluster_id":"3249","member_id":"33","revision":"9","raft_term":"2"})";

std::string answer(const std::string& rest) { return std::string("{") + kHeader + rest + "}"; }

TEST(EtcdJson, ReadsTheRangesOfATransaction) {
  const auto read = parse_etcd_answer(answer(
      R"(,"succeeded":true,"responses":[{"response_range":{"header":{"revision":"9"},"kvs":[)"
      R"({"key":"YQ==","create_revision":"2","mod_revision":"3","version":"2","value":"Mg=="}],"count":"1"}},)"
      R"({"response_range":{"header":{"revision":"9"}}},{"response_put":{"header":{"revision":"9"}}}])"));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->revision, 9);
  EXPECT_TRUE(read->succeeded);
  ASSERT_EQ(read->ranges.size(), 2u);
  EXPECT_EQ(read->ranges[0], (std::vector<EtcdEntry>{{"a", "2", 3}}));
  EXPECT_TRUE(read->ranges[1].empty());
}

TEST(EtcdJson, WhatIsFalseIsLeftOut) {
  const auto read = parse_etcd_answer(answer(""));
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->succeeded);
}

TEST(EtcdJson, AnOddAnswerIsAnError) {
  for (const char* odd :
       {"", "{}", "[]", "null", R"({"header":{}})", R"({"header":{"revision":9}})",
        R"({"header":{"revision":"9x"}})", R"({"header":{"revision":"9"},"responses":5})"}) {
    EXPECT_FALSE(parse_etcd_answer(odd)) << odd;
  }
  EXPECT_FALSE(parse_etcd_answer(answer(R"(,"responses":[{"response_range":{"kvs":[{"key":"?"}]}}])")));
}

TEST(EtcdJson, AFailureTellsItsCode) {
  const EtcdFailure failure =
      parse_etcd_failure(R"({"error":"etcdserver: request timed out","message":"…","code":14})");
  EXPECT_EQ(failure.code, 14);
  EXPECT_EQ(failure.text, "etcdserver: request timed out");
  EXPECT_EQ(parse_etcd_failure("<html>").code, 0);
}

TEST(EtcdJson, OnlyWhatIsRefusedBeforeItIsProposedHasCertainlyNotHappened) {
  const auto meaning = [](const char* body) { return meaning_of(parse_etcd_failure(body)).code; };
  EXPECT_EQ(meaning(R"({"error":"etcdserver: too many requests","code":8})"), Code::kUnavailable);
  EXPECT_EQ(meaning(R"({"error":"etcdserver: request is too large","code":3})"), Code::kInvalid);
  // The write that fills etcd is carried out and answered so.
  EXPECT_EQ(meaning(R"({"error":"etcdserver: mvcc: database space exceeded","code":8})"), Code::kTimeout);
  EXPECT_EQ(meaning(R"({"error":"etcdserver: request timed out","code":14})"), Code::kTimeout);
  EXPECT_EQ(meaning("<html>"), Code::kTimeout);
}

TEST(EtcdJson, VersionsOfBeforeTheMoveHoldNoCondition) {
  const EtcdView view{.placement = {.keeper = Keeper::kEtcd, .base = 100}, .revision = 5};
  const Commit before{.conditions = {{"a", 100}}, .writes = {{"a", "1"}}};
  const Commit after{.conditions = {{"a", 107}, {"b", 0}}, .writes = {{"a", "1"}}};
  EXPECT_TRUE(etcd_refuses(before, view));
  EXPECT_FALSE(etcd_refuses(after, view));
  EXPECT_THAT(etcd_commit(after, view), HasSubstr(R"("mod_revision":"7")"));
}

TEST(EtcdJson, MembersAreRead) {
  const auto members = parse_etcd_members(answer(
      R"(,"members":[{"ID":"3319814642761637952","name":"a","peerURLs":["https://10.0.0.1:7401"],)"
      R"("clientURLs":["unix://client.sock:0"]},{"ID":"12","peerURLs":["https://10.0.0.2:7401"],"isLearner":true}])"));
  ASSERT_TRUE(members);
  ASSERT_EQ(members->size(), 2u);
  EXPECT_EQ((*members)[0].id, 3319814642761637952u);
  EXPECT_TRUE((*members)[1].learner);
  EXPECT_EQ((*members)[1].name, "");
}

TEST(EtcdProcess, IsStartedWithoutAPortForClients) {
  const EtcdOptions options{.folder = "/var/lib/terrace/cluster/etcd",
                            .name = "web1",
                            .peers = {{"web1", "https://10.0.0.1:7401"}, {"web2", "https://10.0.0.2:7401"}},
                            .token = "terrace-17",
                            .certificate_file = "/c/server.crt",
                            .key_file = "/c/server.key",
                            .authorities_file = "/c/trust.pem",
                            .revocations_file = "/c/revoked.crl"};
  const std::vector<std::string> arguments = etcd_arguments(options);
  EXPECT_THAT(arguments, Contains("--listen-client-urls=unix://client.sock:0"));
  EXPECT_THAT(arguments, Contains("--listen-peer-urls=https://10.0.0.1:7401"));
  EXPECT_THAT(arguments, Contains("--initial-cluster=web1=https://10.0.0.1:7401,web2=https://10.0.0.2:7401"));
  EXPECT_THAT(arguments, Contains("--initial-cluster-state=existing"));
  EXPECT_THAT(arguments, Contains("--initial-cluster-token=terrace-17"));
  EXPECT_THAT(arguments, Contains("--peer-client-cert-auth=true"));
  EXPECT_THAT(arguments, Contains("--peer-crl-file=/c/revoked.crl"));
}

TEST(EtcdProcess, AFolderTooDeepForASocketIsRefused) {
  EXPECT_FALSE(EtcdProcess::client_address("/" + std::string(120, 'd')));
}

}  // namespace
}  // namespace terrace::cluster

#include "cluster/state.h"

#include <gtest/gtest.h>

namespace terrace::cluster {
namespace {

TEST(State, KeysArePartsOfPlainBytes) {
  for (const char* key : {"site", "servers/web1", "a/b/c", "A_b-c.d"}) EXPECT_TRUE(is_key(key)) << key;
  for (const char* key : {"", "/a", "a/", "a//b", "a b", "ä", "a\n"}) EXPECT_FALSE(is_key(key)) << key;
  EXPECT_TRUE(is_key(std::string(kKeyBytesMax, 'k')));
  EXPECT_FALSE(is_key(std::string(kKeyBytesMax + 1, 'k')));
  EXPECT_TRUE(is_prefix(""));
  EXPECT_TRUE(is_prefix("servers/"));
  EXPECT_FALSE(is_prefix("servers//"));
}

TEST(State, ACommitKeepsItsLimits) {
  EXPECT_STREQ(objection_to({}), "nothing to write");
  EXPECT_STREQ(objection_to({.writes = {{"a", "1"}, {"a", "2"}}}), "two writes to one key");
  EXPECT_STREQ(objection_to({.conditions = {{"a", -1}}, .writes = {{"a", "1"}}}),
               "a condition on what is no version");
  EXPECT_STREQ(objection_to({.writes = {{"a", std::string(kValueBytesMax + 1, 'x')}}}),
               "a value is too large");
  EXPECT_EQ(objection_to({.conditions = {{"b", 0}}, .writes = {{"a", std::string(kValueBytesMax, 'x')}}}),
            nullptr);
  const std::string large(kValueBytesMax, 'x');
  EXPECT_STREQ(objection_to({.writes = {{"a", large}, {"b", large}, {"c", large}}}),
               "too many bytes in one commit");
  Commit many;
  for (size_t i = 0; i <= kCommitPartsMax; ++i) many.writes.push_back({"k" + std::to_string(i), "1"});
  EXPECT_STREQ(objection_to(many), "too many writes in one commit");
}

TEST(State, ASnapshotIsSearchedByKey) {
  const Snapshot snapshot{.version = 3, .entries = {{"a", "1", 2}, {"b", "2", 3}}};
  EXPECT_EQ(snapshot.find("b")->value, "2");
  EXPECT_EQ(snapshot.find("c"), nullptr);
}

}  // namespace
}  // namespace terrace::cluster

#include "cluster/entries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace terrace::cluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

void put(Entries& entries, std::string key, std::string value) {
  entries.write({.writes = {{std::move(key), std::move(value)}}});
}

void remove(Entries& entries, std::string key) {
  entries.write({.writes = {{std::move(key), std::nullopt}}});
}

Entries founded() { return Entries(Snapshot{.version = 1}); }

TEST(Entries, AWriteNeedsTheVersionThatWasRead) {
  Entries entries = founded();
  put(entries, "site", "one");
  const Version read = entries.find("site")->version;
  put(entries, "site", "two");
  const Commit late{.conditions = {{"site", read}}, .writes = {{"site", "three"}}};
  EXPECT_EQ(entries.judge(late).outcome, Outcome::kRefused);
  const Commit now{.conditions = {{"site", entries.find("site")->version}}, .writes = {{"site", "three"}}};
  EXPECT_EQ(entries.judge(now).outcome, Outcome::kDone);
}

TEST(Entries, VersionZeroMeansThatNothingIsThere) {
  Entries entries = founded();
  const Commit first{.conditions = {{"deploy", 0}}, .writes = {{"deploy", "web1"}}};
  ASSERT_TRUE(entries.judge(first).done());
  entries.write(first);
  EXPECT_EQ(entries.judge(first).outcome, Outcome::kRefused);
}

TEST(Entries, AnEntryMadeAnewHasANewVersion) {
  Entries entries = founded();
  put(entries, "a", "1");
  const Version before = entries.find("a")->version;
  remove(entries, "a");
  put(entries, "a", "1");
  EXPECT_GT(entries.find("a")->version, before);
}

TEST(Entries, ListsByPrefixInTheOrderOfKeys) {
  Entries entries = founded();
  for (const char* key : {"servers/b", "server", "servers/a", "tokens/x"}) put(entries, key, "v");
  std::vector<std::string> keys;
  for (const Entry& entry : entries.list("servers/").entries) keys.push_back(entry.key);
  EXPECT_THAT(keys, ElementsAre("servers/a", "servers/b"));
}

TEST(Entries, TellsWhatChangedSinceAVersion) {
  Entries entries = founded();
  put(entries, "a", "1");
  put(entries, "b", "1");
  const Version known = entries.version();
  put(entries, "b", "2");
  remove(entries, "a");
  const Changes changes = entries.since("", known);
  EXPECT_FALSE(changes.whole);
  ASSERT_EQ(changes.entries.size(), 1u);
  EXPECT_EQ(changes.entries[0].value, "2");
  EXPECT_THAT(changes.removed, ElementsAre("a"));
  EXPECT_FALSE(entries.changed_since("", entries.version()));
  EXPECT_FALSE(entries.changed_since("c", known));
}

TEST(Entries, WhoKnewTooLittleGetsAllOfIt) {
  Entries entries = founded();
  const Version known = entries.version();
  for (size_t i = 0; i <= Entries::kRemovalsMax; ++i) {
    const std::string key = "k" + std::to_string(i);
    put(entries, key, "1");
    remove(entries, key);
  }
  EXPECT_TRUE(entries.since("", known).whole);
  EXPECT_TRUE(entries.since("", 0).whole);
}

TEST(Entries, NobodyIsLedBackToAnOlderState) {
  const Entries entries = founded();
  EXPECT_FALSE(entries.changed_since("", entries.version() + 1));
}

TEST(Entries, ACopyFollowsAndNeverGoesBack) {
  Entries entries = founded();
  put(entries, "a", "1");
  Entries copy;
  ASSERT_TRUE(copy.follow(entries.since("", 0)));
  put(entries, "b", "1");
  remove(entries, "a");
  const Changes changes = entries.since("", copy.version());
  ASSERT_TRUE(copy.follow(changes));
  EXPECT_EQ(copy.list("").entries, entries.list("").entries);
  EXPECT_EQ(copy.bytes(), entries.bytes());
  EXPECT_FALSE(copy.follow({.whole = true, .version = 2}));
  EXPECT_NE(copy.find("b"), nullptr);
}

TEST(Entries, AFullStateTakesOnlyWhatMakesItSmaller) {
  Entries entries = founded();
  for (size_t i = 0; i < kStateBytesMax / kValueBytesMax; ++i)
    put(entries, "k" + std::to_string(i), std::string(kValueBytesMax - 2, 'x'));
  EXPECT_EQ(entries.judge({.writes = {{"more", std::string(100, 'x')}}}).outcome, Outcome::kInvalid);
  EXPECT_EQ(entries.judge({.writes = {{"k0", "small"}}}).outcome, Outcome::kDone);
  EXPECT_EQ(entries.judge({.writes = {{"k0", std::nullopt}}}).outcome, Outcome::kDone);
}

}  // namespace
}  // namespace terrace::cluster

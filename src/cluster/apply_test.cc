#include "cluster/apply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/entries.h"

namespace terrace::cluster {
namespace {

using Kind = CheckedBy::Kind;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Apply, IsRefusedWholeWhenOneServerObjects) {
  const ApplyVerdict verdict = judge({{.server = "web1", .kind = Kind::kAgrees},
                                      {.server = "web2", .kind = Kind::kObjects, .text = "the port is taken"},
                                      {.server = "web3", .kind = Kind::kSilent}});
  EXPECT_FALSE(verdict.may);
  EXPECT_THAT(verdict.why, HasSubstr("web2 objects:\nthe port is taken"));
}

TEST(Apply, DoesNotWaitForServersThatAreDownOrHaveNotJoined) {
  const ApplyVerdict verdict =
      judge({{.server = "web1", .kind = Kind::kSilent},
             {.server = "web2", .kind = Kind::kAgrees, .changed = {"servers: `web3` joins the pool"}},
             {.server = "web3", .kind = Kind::kNotJoined}});
  EXPECT_TRUE(verdict.may);
  EXPECT_THAT(verdict.changed, ElementsAre("servers: `web3` joins the pool"));
}

TEST(Apply, OfAFileWhoseServersAllAreSilentOrNewIsRefused) {
  EXPECT_FALSE(judge({{.server = "web8", .kind = Kind::kNotJoined}}).may);
  EXPECT_FALSE(judge({{.server = "web8", .kind = Kind::kSilent}}).may);
  EXPECT_FALSE(judge({}).may);
}

SiteVersion version(int64_t number) {
  return {.version = number, .text = "x", .by = "anna", .server = "web2"};
}

std::optional<Entry> site_of(const Entries& entries) {
  const Entry* entry = entries.find(kSiteKey);
  return entry != nullptr ? std::optional(*entry) : std::nullopt;
}

TEST(Apply, OfTwoAtOnceOneIsRecordedAndTheOtherRefused) {
  Entries entries;
  entries.write(record_of(std::nullopt, version(1)));
  const std::optional<Entry> seen = site_of(entries);
  const Commit first = record_of(seen, version(2));
  const Commit second = record_of(seen, version(2));
  ASSERT_TRUE(entries.judge(first).done());
  entries.write(first);
  EXPECT_EQ(entries.judge(second).outcome, Outcome::kRefused);
  EXPECT_THAT(beaten_text(version(2)), HasSubstr("anna applied version 2 on web2"));
}

TEST(Apply, IsRefusedDuringADeploy) {
  Entries entries;
  entries.write(record_of(std::nullopt, version(1)));
  entries.write({.conditions = {}, .writes = {{std::string(kDeployKey), "{}"}}});
  EXPECT_EQ(entries.judge(record_of(site_of(entries), version(2))).outcome, Outcome::kRefused);
}

TEST(Apply, TheVersionThatTheSiteWasFoundedWithCanBeGoneBackTo) {
  Entries entries;
  entries.write({.conditions = {}, .writes = {{std::string(kSiteKey), to_json(version(1))}}});
  entries.write(record_of(site_of(entries), version(2)));
  ASSERT_NE(entries.find(history_key(1)), nullptr);
  EXPECT_EQ(parse_site_version(entries.find(history_key(1))->value), version(1));
}

TEST(Apply, KeepsTheLastVersionsAndNoMore) {
  Entries entries;
  for (int64_t number = 1; number <= 3 * kHistoryKept; ++number)
    entries.write(record_of(site_of(entries), version(number)));
  EXPECT_EQ(entries.list("history/").entries.size(), static_cast<size_t>(kHistoryKept));
  EXPECT_EQ(entries.find(history_key(2 * kHistoryKept)), nullptr);
  EXPECT_NE(entries.find(history_key(3 * kHistoryKept)), nullptr);
}

}  // namespace
}  // namespace terrace::cluster

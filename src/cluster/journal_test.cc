#include "cluster/journal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "cluster/state_fixture.h"

namespace terrace::cluster {
namespace {

const Placement kHere{.generation = 1, .holders = {"web1"}};

class JournalTest : public testing::Test {
 protected:
  std::unique_ptr<Journal> create() { return Journal::create(folder_.path, {.version = 1}, kHere).value(); }
  Result<Journal::Contents> read() {
    Journal::Contents contents;
    const auto journal = Journal::open(folder_.path, contents);
    if (!journal) return std::unexpected(journal.error());
    return contents;
  }
  std::string text() { return read_file(path_, 1 << 24).value(); }
  void set_text(std::string_view text) { ASSERT_TRUE(write_file(path_, text)); }
  static Record put(Version version, std::string value) {
    return {.version = version, .writes = {{"site", std::move(value)}}};
  }

  TestFolder folder_;
  std::string path_ = folder_.path + "/journal";
};

TEST_F(JournalTest, WhatWasAppendedIsReadAgain) {
  {
    const auto journal = create();
    ASSERT_TRUE(journal->append(put(2, "one")));
    ASSERT_TRUE(journal->append({.placement = Placement{.generation = 2}, .moving = true}));
    ASSERT_TRUE(journal->append(put(3, "two")));
  }
  const auto contents = read();
  ASSERT_TRUE(contents);
  EXPECT_EQ(contents->entries.find("site")->value, "two");
  EXPECT_EQ(contents->entries.find("site")->version, 3);
  EXPECT_EQ(contents->placement.generation, 2);
  EXPECT_TRUE(contents->moving);
}

TEST_F(JournalTest, ATornLineIsCutOffWhereverItWasTorn) {
  {
    const auto journal = create();
    ASSERT_TRUE(journal->append(put(2, "one")));
    ASSERT_TRUE(journal->append(put(3, "two")));
  }
  const std::string whole = text();
  const size_t last = whole.rfind('\n', whole.size() - 2) + 1;
  for (size_t cut = last; cut < whole.size(); ++cut) {
    Journal::Contents contents;
    const auto good = read_journal(whole.substr(0, cut), contents);
    ASSERT_TRUE(good) << cut;
    EXPECT_EQ(*good, last);
    EXPECT_EQ(contents.entries.find("site")->value, "one");
  }
  set_text(whole.substr(0, whole.size() - 7));
  EXPECT_GT(read()->torn_bytes, 0u);
  EXPECT_EQ(text(), whole.substr(0, last));
}

TEST_F(JournalTest, AfterACutTheJournalGoesOn) {
  create();
  set_text(text() + "12345678 {\"version\":2,\"wri");
  {
    Journal::Contents contents;
    const auto journal = Journal::open(folder_.path, contents);
    ASSERT_TRUE(journal);
    ASSERT_TRUE((*journal)->append(put(2, "again")));
  }
  EXPECT_EQ(read()->entries.find("site")->value, "again");
}

TEST_F(JournalTest, DamageBeforeTheEndIsReportedAndNothingIsDropped) {
  {
    const auto journal = create();
    ASSERT_TRUE(journal->append(put(2, "one")));
    ASSERT_TRUE(journal->append(put(3, "two")));
  }
  const std::string whole = text();
  for (size_t at = 0; at < whole.rfind('\n', whole.size() - 2); ++at) {
    std::string damaged = whole;
    damaged[at] ^= 1;
    Journal::Contents contents;
    const auto good = read_journal(damaged, contents);
    ASSERT_FALSE(good) << at;
    EXPECT_EQ(good.error().code, Code::kInvalid);
  }
  std::string damaged = whole;
  damaged[20] ^= 1;
  set_text(damaged);
  EXPECT_EQ(read().error().code, Code::kInvalid);
  EXPECT_EQ(text(), damaged);
}

TEST_F(JournalTest, AMissingCommitIsDamage) {
  {
    const auto journal = create();
    ASSERT_TRUE(journal->append(put(2, "one")));
    ASSERT_TRUE(journal->append(put(4, "three")));
  }
  EXPECT_EQ(read().error().code, Code::kInvalid);
}

TEST_F(JournalTest, OneProcessHasIt) {
  const auto journal = create();
  EXPECT_EQ(read().error().code, Code::kUnavailable);
}

TEST_F(JournalTest, NoJournalIsNotFound) { EXPECT_EQ(read().error().code, Code::kNotFound); }

TEST_F(JournalTest, OneThatCannotBeReachedIsNotTakenForNone) {
  // As with a folder that may not be entered, which root may.
  ASSERT_EQ(::symlink("journal", path_.c_str()), 0);
  EXPECT_NE(read().error().code, Code::kNotFound);
}

TEST_F(JournalTest, AnEmptyStateIsReadAgainAfterItsFirstCommit) {
  {
    const auto journal = Journal::create(folder_.path, {}, kHere).value();
    ASSERT_TRUE(journal->append(put(2, "one")));
  }
  EXPECT_EQ(read()->entries.find("site")->version, 2);
}

TEST_F(JournalTest, AGrownJournalBeginsAnewWithEverything) {
  {
    const auto journal = create();
    Entries entries(Snapshot{.version = 1});
    Version version = 1;
    while (!journal->grown()) {
      const Record record = put(++version, std::string(100'000, 'x'));
      entries.write({.writes = record.writes});
      ASSERT_TRUE(journal->append(record));
    }
    ASSERT_TRUE(journal->begin_anew({.begin = entries.list(""), .placement = kHere}));
    EXPECT_FALSE(journal->grown());
    ASSERT_TRUE(journal->append(put(version + 1, "last")));
  }
  EXPECT_LT(text().size(), 200'000u);
  EXPECT_EQ(read()->entries.find("site")->value, "last");
}

}  // namespace
}  // namespace terrace::cluster

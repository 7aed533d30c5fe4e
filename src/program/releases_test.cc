#include "program/releases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "program/release_folders.h"

namespace terrace::program {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

uint32_t deploy(ReleaseTable& table) {
  const uint32_t number = table.begin(1'700'000'000);
  table.switch_to(number, 10);
  table.trim();
  return number;
}

std::vector<uint32_t> numbers(const ReleaseTable& table) {
  std::vector<uint32_t> numbers;
  for (const Release& each : table.releases) numbers.push_back(each.number);
  return numbers;
}

TEST(ReleaseTable, TheLastThreeReadyOnesAreKept) {
  ReleaseTable table;
  for (int i = 0; i < 5; ++i) deploy(table);
  EXPECT_THAT(numbers(table), ElementsAre(3, 4, 5));
  EXPECT_EQ(table.current(), 5U);
  EXPECT_EQ(table.previous(), 4U);
}

TEST(ReleaseTable, ANumberIsNeverUsedTwice) {
  ReleaseTable table;
  EXPECT_EQ(table.begin(0), 1U);
  table.fail(1, "build failed");
  EXPECT_EQ(table.begin(0), 2U);
}

TEST(ReleaseTable, ARollbackGoesToTheOneThatServedBeforeAndNotToOneThatWasLeft) {
  ReleaseTable table;
  for (int i = 0; i < 3; ++i) deploy(table);
  table.go_back("");
  EXPECT_EQ(table.current(), 2U);
  EXPECT_EQ(table.previous(), 1U);
  EXPECT_EQ(deploy(table), 4U);
  EXPECT_EQ(table.previous(), 2U);
  EXPECT_THAT(numbers(table), ElementsAre(2, 3, 4));
}

TEST(ReleaseTable, TheCurrentOneStaysHoweverManyNewerOnesWereLeft) {
  ReleaseTable table;
  deploy(table);
  deploy(table);
  for (int i = 0; i < 5; ++i) {
    deploy(table);
    table.go_back("");
    table.trim();
  }
  EXPECT_EQ(table.current(), 2U);
  EXPECT_THAT(numbers(table), ElementsAre(2, 5, 6, 7));
}

TEST(ReleaseTable, ANumberThatAnotherServerGaveTakesItsPlaceAndCountsForTheNextOne) {
  ReleaseTable table;
  deploy(table);
  table.begin(7, 0);
  table.begin(4, 0);
  EXPECT_THAT(numbers(table), ElementsAre(1, 4, 7));
  EXPECT_EQ(table.last, 7U);
  table.fail(7, "it was cut off");
  table.begin(7, 0);
  EXPECT_EQ(table.find(7)->state, ReleaseState::kBuilding);
  table.make_ready(7, 10);
  EXPECT_EQ(table.current(), 1U);
  EXPECT_EQ(parse_releases(text_of(table)), table);
}

TEST(ReleaseTable, AnyReadyOneMayServeAndTheOneBeforeComesBackWithItsOwnPast) {
  ReleaseTable table;
  for (int i = 0; i < 3; ++i) deploy(table);
  table.serve(2);
  EXPECT_THAT(table.served, ElementsAre(1, 2));
  table.serve(3);
  table.serve(1);
  EXPECT_THAT(table.served, ElementsAre(2, 3, 1));
  table.serve(1);
  EXPECT_THAT(table.served, ElementsAre(2, 3, 1));
  table.serve(0);
  EXPECT_THAT(table.served, IsEmpty());
}

TEST(ReleaseTable, OneThatWentBackByItselfFailedAndIsNoTarget) {
  ReleaseTable table;
  deploy(table);
  deploy(table);
  table.go_back("more errors");
  EXPECT_EQ(table.current(), 1U);
  EXPECT_EQ(table.find(2)->state, ReleaseState::kFailed);
  EXPECT_EQ(table.find(2)->reason, "more errors");
  EXPECT_EQ(table.previous(), 0U);
}

TEST(ReleaseTable, AFewFailuresAreRemembered) {
  ReleaseTable table;
  deploy(table);
  for (int i = 0; i < 9; ++i) {
    table.fail(table.begin(0), "no");
    table.trim();
  }
  EXPECT_THAT(numbers(table), ElementsAre(1, 6, 7, 8, 9, 10));
}

TEST(ReleaseTable, WhatStillBuildsWhenNobodyDeploysHasFailed) {
  ReleaseTable table;
  deploy(table);
  table.begin(0);
  EXPECT_TRUE(table.give_up_unfinished());
  EXPECT_EQ(table.find(2)->state, ReleaseState::kFailed);
  EXPECT_FALSE(table.give_up_unfinished());
}

TEST(ReleaseTable, ItsTextReadsAsTheSame) {
  ReleaseTable table;
  deploy(table);
  table.fail(table.begin(5), "exit status 1: \"no\"\n\xff");
  deploy(table);
  const Result<ReleaseTable> again = parse_releases(text_of(table));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->served, table.served);
  EXPECT_EQ(numbers(*again), numbers(table));
  EXPECT_EQ(*parse_releases(text_of(*again)), *again);
}

TEST(ReleaseTable, ATextThatIsNotOursIsRefused) {
  for (const char* text : {"", "{}", "[1]", R"({"last":1,"served":[1],"releases":[]})",
                           R"({"last":0,"served":[],"releases":[{"number":1,"made":0,"state":"ready"}]})",
                           R"({"last":1,"served":["x"],"releases":[]})"})
    EXPECT_FALSE(parse_releases(text)) << text;
}

class ReleaseFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(folder_), nullptr);
    folders_.state = folder_;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  mode_t mode_of(const std::string& path) const {
    struct stat about{};
    return ::lstat((folder_ + path).c_str(), &about) == 0 ? about.st_mode & 07777 : 0;
  }

  char folder_[32] = "/tmp/terrace-releases-XXXXXX";
  Folders folders_;
  User user_ = current_user();
};

TEST_F(ReleaseFilesTest, WithoutAFileThereAreNone) {
  const Result<ReleaseTable> table = ReleaseFile(folder_).load();
  ASSERT_TRUE(table);
  EXPECT_EQ(table->current(), 0U);
  EXPECT_EQ(release_root(folder_, *table), "");
}

TEST_F(ReleaseFilesTest, WhatWasPreparedHoldsOnceItIsCommitted) {
  const ReleaseFile file(folder_);
  ReleaseTable table;
  deploy(table);
  ASSERT_TRUE(file.save(table));
  ReleaseTable next = table;
  deploy(next);
  ASSERT_TRUE(file.prepare("next", next));
  EXPECT_EQ(*file.load(), table);
  ASSERT_TRUE(file.commit("next"));
  EXPECT_EQ(*file.load(), next);
  EXPECT_FALSE(file.commit("next"));
}

TEST_F(ReleaseFilesTest, AFolderIsMadeOnceAndRemovedEmpty) {
  ASSERT_TRUE(make_release_folder(folders_, 7, user_, user_));
  EXPECT_EQ(mode_of("/releases/7"), 0750U);
  EXPECT_EQ(mode_of("/writable"), 02750U);
  EXPECT_FALSE(make_release_folder(folders_, 7, user_, user_));
  EXPECT_THAT(release_folders(folder_), ElementsAre(7));
  std::ofstream(release_folder(folder_, 7) + "/file") << "x";
  EXPECT_FALSE(remove_release_folder(folders_, 7));
  std::filesystem::remove(release_folder(folder_, 7) + "/file");
  EXPECT_TRUE(remove_release_folder(folders_, 7));
  EXPECT_THAT(release_folders(folder_), IsEmpty());
}

TEST_F(ReleaseFilesTest, NoLinkIsFollowed) {
  const std::string elsewhere = std::string(folder_) + "/elsewhere";
  std::filesystem::create_directory(elsewhere);
  std::filesystem::create_symlink(elsewhere, std::string(folder_) + "/releases");
  EXPECT_FALSE(make_release_folder(folders_, 1, user_, user_));
  EXPECT_TRUE(std::filesystem::is_empty(elsewhere));
}

}  // namespace
}  // namespace terrace::program

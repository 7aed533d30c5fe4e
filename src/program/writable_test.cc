#include "program/writable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace terrace::program {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uid_t kAppNumber = 61'191;

class WritableTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(above_), nullptr);
    fs::create_directories(path("app"));
    fs::create_directories(path("database"));
    plan_.folder = path("app");
    plan_.within = path("app");
    plan_.database = path("database/shop.sqlite3");
    plan_.change_owner = ::geteuid() == 0;
    plan_.user = {.name = "app", .uid = kAppNumber, .gid = kAppNumber, .home = "/", .groups = {}};
  }
  void TearDown() override { fs::remove_all(above_); }

  std::string path(const std::string& name) const { return std::string(above_) + "/" + name; }
  void write(const std::string& name, const std::string& text = "x") const {
    fs::create_directories(fs::path(path(name)).parent_path());
    std::ofstream(path(name)) << text;
  }
  uid_t owner(const std::string& name) const {
    struct stat about{};
    return ::lstat(path(name).c_str(), &about) == 0 ? about.st_uid : 0;
  }
  std::vector<std::string> run() const {
    auto said = make_writable(plan_);
    return said ? *said : std::vector<std::string>{describe(said.error())};
  }

  char above_[32] = "/tmp/terrace-writable-XXXXXX";
  WritablePlan plan_;
};

// What only root can do to somebody else's files.
class WritableAsRoot : public WritableTest {
 protected:
  void SetUp() override {
    WritableTest::SetUp();
    if (!plan_.change_owner) GTEST_SKIP() << "needs root";
  }
};

TEST_F(WritableTest, AFolderThatIsMissingIsMade) {
  plan_.writable = {"tmp/cache/pages"};
  EXPECT_THAT(run(), ElementsAre("tmp/cache/pages was missing and is made"));
  EXPECT_TRUE(fs::is_directory(path("app/tmp/cache/pages")));
  EXPECT_EQ(run(), std::vector<std::string>{}) << "the second time nothing is to be done";
}

TEST_F(WritableAsRoot, OnlyTheLastFolderOfAPathIsHandedOver) {
  plan_.writable = {"tmp/cache"};
  run();
  EXPECT_EQ(owner("app/tmp"), 0U);
  EXPECT_EQ(owner("app/tmp/cache"), kAppNumber);
}

TEST_F(WritableAsRoot, WhatIsThereIsHandedOverWithAllThatIsInIt) {
  write("app/log/development.log");
  write("app/log/old/a.log");
  write("app/other.txt");
  plan_.writable = {"log"};
  EXPECT_THAT(run(), ElementsAre("log belongs to app now"));
  EXPECT_EQ(owner("app/log"), kAppNumber);
  EXPECT_EQ(owner("app/log/old/a.log"), kAppNumber);
  EXPECT_EQ(owner("app/other.txt"), 0U);
  EXPECT_THAT(run(), IsEmpty());
}

TEST_F(WritableAsRoot, NothingOutsideIsReachedThroughALink) {
  write("outside/secret.txt");
  fs::create_directories(path("app/log"));
  fs::create_symlink(path("outside"), path("app/log/way"));
  fs::create_symlink("../outside", path("app/uploads"));
  plan_.writable = {"log", "uploads", "uploads/deeper"};
  EXPECT_THAT(run(), testing::Contains(HasSubstr("uploads is a link")));
  EXPECT_EQ(owner("outside"), 0U);
  EXPECT_EQ(owner("outside/secret.txt"), 0U);
  EXPECT_EQ(owner("app/log/way"), 0U);
  EXPECT_FALSE(fs::exists(path("outside/deeper")));
}

TEST_F(WritableAsRoot, AFileWithAnotherNameStaysItsOwners) {
  write("outside.txt");
  fs::create_directories(path("app/log"));
  fs::create_hard_link(path("outside.txt"), path("app/log/a.log"));
  plan_.writable = {"log"};
  run();
  EXPECT_EQ(owner("outside.txt"), 0U);
}

TEST_F(WritableAsRoot, NothingOutsideOfTheSitesFolderIsHandedOverWhateverTheRecordSays) {
  write("etc/shadow");
  write("application/shadow");
  fs::create_symlink(path("etc"), path("app/way-out"));
  plan_.writable = {"shadow", "made"};
  plan_.database_link = "shadow";
  for (const char* folder : {"etc", "application", "app/../etc", "app/way-out"}) {
    plan_.folder = path(folder);
    EXPECT_THAT(run(), ElementsAre(HasSubstr("not below the folder of the site file"))) << folder;
  }
  for (const char* name : {"etc/shadow", "application/shadow"}) EXPECT_EQ(owner(name), 0U) << name;
  EXPECT_FALSE(fs::exists(path("etc/made")));
  EXPECT_TRUE(fs::is_regular_file(path("etc/shadow")));
}

TEST_F(WritableAsRoot, ASiteFileBelowEtcHasNoFolderOfItsOwn) {
  for (const char* folder : {"/etc/terrace", "/etc", "/", ""}) {
    plan_.folder = plan_.within = folder;
    plan_.writable = {"terrace-writable-test"};
    EXPECT_THAT(run(), ElementsAre(HasSubstr("not below the folder of the site file"))) << folder;
  }
}

TEST_F(WritableAsRoot, AFolderBelowTheSitesIsReachedAlsoThroughALinkThatStaysWithin) {
  write("app/releases/7/log/a.log");
  fs::create_symlink("releases/7", path("app/current"));
  plan_.folder = path("app/current");
  plan_.writable = {"log"};
  EXPECT_THAT(run(), ElementsAre("log belongs to app now"));
  EXPECT_EQ(owner("app/releases/7/log/a.log"), kAppNumber);
}

TEST_F(WritableTest, TheDatabaseIsLinkedUnderTheNameThatIsExpected) {
  plan_.database_link = "db.sqlite3";
  EXPECT_THAT(run(), ElementsAre(HasSubstr("db.sqlite3 leads to the site's database")));
  EXPECT_EQ(fs::read_symlink(path("app/db.sqlite3")), plan_.database);
  EXPECT_THAT(run(), IsEmpty());
}

TEST_F(WritableTest, AFileThatIsThereBecomesTheDatabase) {
  write("app/db.sqlite3", "rows");
  plan_.database_link = "db.sqlite3";
  EXPECT_THAT(run(), ElementsAre("db.sqlite3 became the site's database", HasSubstr("leads to")));
  EXPECT_EQ(fs::read_symlink(path("app/db.sqlite3")), plan_.database);
  EXPECT_EQ(fs::file_size(plan_.database), 4U);
  struct stat about{};
  ASSERT_EQ(::stat(plan_.database.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0600U);
  if (plan_.change_owner) EXPECT_EQ(about.st_uid, kAppNumber);
}

TEST_F(WritableTest, ADatabaseIsNeverReplaced) {
  write("app/db.sqlite3", "rows");
  write("database/shop.sqlite3", "others");
  plan_.database_link = "db.sqlite3";
  EXPECT_THAT(run(), ElementsAre(HasSubstr("has a database already")));
  EXPECT_EQ(fs::file_size(path("app/db.sqlite3")), 4U);
  EXPECT_EQ(fs::file_size(plan_.database), 6U);
}

TEST_F(WritableTest, ADatabaseThatAProgramHasOpenIsLeft) {
  write("app/db.sqlite3", "rows");
  write("app/db.sqlite3-wal", "more");
  plan_.database_link = "db.sqlite3";
  EXPECT_THAT(run(), ElementsAre(HasSubstr("db.sqlite3-wal says")));
  EXPECT_FALSE(fs::exists(plan_.database));
}

TEST_F(WritableTest, ALinkFromBeforeTheFolderMovedIsMadeAnew) {
  fs::create_symlink("/nowhere/database/shop.sqlite3", path("app/db.sqlite3"));
  plan_.database_link = "db.sqlite3";
  run();
  EXPECT_EQ(fs::read_symlink(path("app/db.sqlite3")), plan_.database);
}

TEST_F(WritableTest, ALinkOfSomebodyElseStays) {
  write("elsewhere.sqlite3");
  fs::create_symlink(path("elsewhere.sqlite3"), path("app/db.sqlite3"));
  plan_.database_link = "db.sqlite3";
  EXPECT_THAT(run(), ElementsAre(HasSubstr("stays so")));
  EXPECT_EQ(fs::read_symlink(path("app/db.sqlite3")), path("elsewhere.sqlite3"));
}

}  // namespace
}  // namespace terrace::program

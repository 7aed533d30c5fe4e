#include "program/stray_writes.h"

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
using testing::IsEmpty;
using testing::SizeIs;

class StrayWritesTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(root_), nullptr);
    write("app.py");
    write("static/site.css");
    write("__pycache__/app.cpython-311.pyc");
    fs::create_directories(outside());
    fs::create_directory_symlink(outside(), path("uploads"));
    begin();
  }
  void TearDown() override {
    fs::remove_all(root_);
    fs::remove_all(outside());
  }

  void begin() {
    ASSERT_TRUE(writes_.begin(root_, root_));
    while (writes_.watch_more()) continue;
  }
  std::string outside() const { return std::string(root_) + ".outside"; }
  std::string path(const std::string& name) const { return std::string(root_) + "/" + name; }
  void write(const std::string& name, const std::string& text = "x") const {
    fs::create_directories(fs::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::app) << text;
  }
  // Files are dated by a clock that ticks every few milliseconds.
  void until_files_are_older() const {
    struct stat about{};
    ASSERT_EQ(::lstat(path("static/site.css").c_str(), &about), 0);
    timespec now = about.st_ctim;
    while (now.tv_sec == about.st_ctim.tv_sec && now.tv_nsec <= about.st_ctim.tv_nsec)
      ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  }
  // All that was written up to now.
  std::vector<std::string> take() {
    EXPECT_THAT(writes_.take(), IsEmpty()) << "nothing else was written before";
    return writes_.take();
  }

  char root_[32] = "/tmp/terrace-stray-XXXXXX";
  StrayWrites writes_;
};

TEST_F(StrayWritesTest, AFileThatIsWrittenOrChangedIsSaidOnce) {
  write("static/x.css");
  write("app.py");
  EXPECT_THAT(take(), ElementsAre("app.py", "static/x.css"));
  write("static/x.css");
  EXPECT_THAT(take(), IsEmpty());
  EXPECT_THAT(writes_.said(), ElementsAre("app.py", "static/x.css"));
}

TEST_F(StrayWritesTest, WhatIsReadOrOnlyOpenedIsNotSaid) {
  until_files_are_older();
  begin();
  std::ifstream(path("app.py")).get();
  std::fstream(path("static/site.css"), std::ios::in | std::ios::out).get();
  EXPECT_THAT(take(), IsEmpty());
}

TEST_F(StrayWritesTest, WhatAWritableLinkLeadsToIsNotSaid) {
  write("uploads/picture.jpg");
  EXPECT_THAT(take(), IsEmpty());
}

TEST_F(StrayWritesTest, ALinkThatIsReplacedByAFileIsSaid) {
  fs::create_symlink(outside() + "/settings.json", path("settings.json"));
  EXPECT_THAT(take(), IsEmpty());
  write("settings.json.new");
  fs::rename(path("settings.json.new"), path("settings.json"));
  EXPECT_THAT(take(), ElementsAre("settings.json"));
}

TEST_F(StrayWritesTest, ANewFolderIsSaidInsteadOfWhatIsInIt) {
  write("static/pictures/a.jpg");
  write("static/pictures/b.jpg");
  EXPECT_THAT(take(), ElementsAre("static/pictures/"));
}

TEST_F(StrayWritesTest, ATemporaryFileIsNotSaid) {
  write("download.part");
  EXPECT_THAT(writes_.take(), IsEmpty());
  fs::remove(path("download.part"));
  EXPECT_THAT(writes_.take(), IsEmpty());
}

TEST_F(StrayWritesTest, CachesCompiledCodeAndLogsAreNotSaid) {
  for (const char* name : {"__pycache__/b.cpython-311.pyc", "tmp/pids/server.pid", "log/production.log",
                           ".sass-cache/x", "static/.hidden", "celery.pid", "static/app.log", "page.html~"})
    write(name);
  EXPECT_THAT(take(), IsEmpty());
}

TEST_F(StrayWritesTest, OfADatabaseTheFileItselfIsSaid) {
  write("static/shop.db");
  write("static/shop.db-wal");
  write("static/shop.db-journal");
  EXPECT_THAT(take(), ElementsAre("static/shop.db"));
}

TEST_F(StrayWritesTest, PathsCountFromTheFolderOfTheApplication) {
  fs::create_directories(path("backend"));
  ASSERT_TRUE(writes_.begin(root_, path("backend")));
  while (writes_.watch_more()) continue;
  write("backend/guests.txt");
  write("static/x.css");
  EXPECT_THAT(take(), ElementsAre("guests.txt", "../static/x.css"));
}

TEST_F(StrayWritesTest, OnlySoManyPathsAreSaid) {
  for (size_t i = 0; i < StrayWrites::kPathsMax + 5; ++i) write("static/" + std::to_string(i));
  EXPECT_THAT(take(), SizeIs(StrayWrites::kPathsMax));
  EXPECT_TRUE(writes_.full());
  write("static/one-more");
  EXPECT_THAT(take(), IsEmpty());
  EXPECT_THAT(writes_.said(), SizeIs(StrayWrites::kPathsMax));
}

TEST_F(StrayWritesTest, BeyondTheLimitOfFoldersThoseNearTheRootAreLookedAfter) {
  fs::create_directories(path("static/pictures"));
  ASSERT_TRUE(writes_.begin(root_, root_, 2));
  while (writes_.watch_more()) continue;
  write("near.txt");
  write("static/near.txt");
  write("static/pictures/far.txt");
  EXPECT_THAT(take(), ElementsAre("near.txt", "static/near.txt"));
}

TEST_F(StrayWritesTest, AnotherReleaseBeginsAnew) {
  write("static/x.css");
  EXPECT_THAT(take(), SizeIs(1));
  begin();
  EXPECT_THAT(writes_.said(), IsEmpty());
  write("static/x.css");
  EXPECT_THAT(take(), ElementsAre("static/x.css"));
  writes_.end();
  write("static/y.css");
  EXPECT_THAT(take(), IsEmpty());
}

TEST_F(StrayWritesTest, AFolderThatIsRemovedOrMissingDoesNoHarm) {
  fs::remove_all(path("static"));
  EXPECT_THAT(take(), IsEmpty());
  ASSERT_TRUE(writes_.begin(path("nowhere"), path("nowhere")));
  EXPECT_FALSE(writes_.watch_more());
  EXPECT_THAT(take(), IsEmpty());
}

}  // namespace
}  // namespace terrace::program

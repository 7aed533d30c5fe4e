#include "program/log_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "program/log_line.h"
#include "program/log_packing.h"
#include "program/log_parts.h"

namespace terrace::program {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LogFileTest : public ::testing::Test {
 protected:
  LogFileTest() {
    char name[] = "/tmp/terrace-log-file-XXXXXX";
    folder_ = mkdtemp(name);
    path_ = folder_ / "app.log";
  }
  ~LogFileTest() override { std::filesystem::remove_all(folder_); }

  void append(const std::string& text) const { std::ofstream(path_, std::ios::app) << text; }
  std::vector<std::string> newest(size_t count, const LogFile::Wanted& wanted = any) {
    EXPECT_TRUE(file().open());
    return file().newest(count, wanted);
  }
  LogFile& file() {
    if (!file_) file_ = std::make_unique<LogFile>(path_);
    return *file_;
  }
  static bool any(std::string_view) { return true; }

  std::filesystem::path folder_;
  std::filesystem::path path_;
  std::unique_ptr<LogFile> file_;
};

TEST_F(LogFileTest, GivesTheNewestLinesOldestFirst) {
  append("one\ntwo\n\nthree\n");
  EXPECT_THAT(newest(2), ElementsAre("", "three"));
  EXPECT_THAT(newest(10), ElementsAre("one", "two", "", "three"));
  EXPECT_THAT(newest(0), IsEmpty());
}

TEST_F(LogFileTest, AnEmptyFileHasNoLines) {
  append("");
  EXPECT_THAT(newest(5), IsEmpty());
  append("\n");
  EXPECT_THAT(newest(5), ElementsAre(""));
}

TEST_F(LogFileTest, SaysWhenThereIsNoFile) {
  const auto opened = file().open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kNotFound);
}

TEST_F(LogFileTest, FindsLinesAcrossItsBlocks) {
  std::string text;
  for (int i = 0; i < 5000; ++i)
    text += "line " + std::to_string(i) + std::string(static_cast<size_t>(i % 90), '.') + "\n";
  append(text);
  const auto lines = newest(5000);
  ASSERT_EQ(lines.size(), 5000U);
  EXPECT_EQ(lines.front(), "line 0");
  EXPECT_THAT(lines.back(), ::testing::StartsWith("line 4999"));
}

TEST_F(LogFileTest, AVeryLongLineComesInPieces) {
  append("first\n" + std::string(3 * LogFile::kLineBytesMax, 'x') + "\nlast\n");
  const auto lines = newest(100);
  EXPECT_GT(lines.size(), 3U);
  EXPECT_EQ(lines.front(), "first");
  EXPECT_EQ(lines.back(), "last");
}

TEST_F(LogFileTest, FollowsWhatIsAddedWholeLinesOnly) {
  append("old\nhal");
  EXPECT_THAT(newest(5), ElementsAre("old"));
  EXPECT_THAT(file().added(any), IsEmpty());
  append("f\nnew\n");
  EXPECT_THAT(file().added(any), ElementsAre("half", "new"));
  EXPECT_THAT(file().added(any), IsEmpty());
}

TEST_F(LogFileTest, FollowsAcrossARename) {
  append("one\n");
  EXPECT_THAT(newest(5), ElementsAre("one"));
  append("two\n");
  std::filesystem::rename(path_, folder_ / "app.log.1");
  EXPECT_THAT(file().added(any), ElementsAre("two"));
  append("three\n");
  EXPECT_THAT(file().added(any), ElementsAre("three"));
}

TEST_F(LogFileTest, FollowsAcrossSeveralRotationsBetweenTwoLooks) {
  const auto rotate = [this](int day) {
    const std::string part =
        part_path(folder_, "app", *wall_time("2026-11-2" + std::to_string(day) + "T10:00:00"));
    std::filesystem::rename(path_, part);
    return part;
  };
  append("before\n");
  rotate(0);
  append("one\n");
  EXPECT_THAT(newest(5), ElementsAre("one"));
  append("two\n");
  const std::string own = rotate(1);
  append("three\n");
  const std::string packed = rotate(2);
  append("four\n");
  rotate(3);
  append("five\n");
  ASSERT_TRUE(pack_log(own));
  ASSERT_TRUE(pack_log(packed));
  EXPECT_THAT(file().added(any), ElementsAre("two", "three", "four", "five"));
  append("six\n");
  EXPECT_THAT(file().added(any), ElementsAre("six"));
}

TEST_F(LogFileTest, FollowsAcrossACutToNothing) {
  append("one\ntwo\n");
  EXPECT_THAT(newest(5), ElementsAre("one", "two"));
  std::filesystem::resize_file(path_, 0);
  append("3\n");
  EXPECT_THAT(file().added(any), ElementsAre("3"));
}

TEST_F(LogFileTest, WaitsForAFileThatIsNotThereYet) {
  EXPECT_THAT(file().added(any), IsEmpty());
  append("one\n");
  EXPECT_THAT(file().added(any), ElementsAre("one"));
}

TEST_F(LogFileTest, GivesOnlyLinesThatAreWanted) {
  append("a1\nb1\na2\nb2\n");
  const auto with_a = [](std::string_view line) { return line.starts_with('a'); };
  EXPECT_THAT(newest(1, with_a), ElementsAre("a2"));
  append("b3\na3\n");
  EXPECT_THAT(file().added(with_a), ElementsAre("a3"));
}

}  // namespace
}  // namespace terrace::program

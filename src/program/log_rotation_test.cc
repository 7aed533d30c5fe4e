#include "program/log_rotation.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "program/log_appender.h"
#include "program/log_history.h"
#include "program/log_line.h"
#include "program/log_packing.h"

namespace terrace::program {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class LogRotationTest : public ::testing::Test {
 protected:
  LogRotationTest() {
    char name[] = "/tmp/terrace-log-rotation-XXXXXX";
    folder_ = mkdtemp(name);
    rotation_ = std::make_unique<LogRotation>(folder_, clock_, log_);
    limit({.file_bytes_max = 100});
  }
  ~LogRotationTest() override { std::filesystem::remove_all(folder_); }

  void limit(const LogLimits& limits) { rotation_->set_limits(limits); }
  std::string line(std::string_view text) const {
    return log_time(clock_.wall()) + " app-1: " + std::string(text);
  }
  // A line of the log as its writer would append it: anew after a rotation.
  std::string write(std::string_view text, const std::string& log = "app") {
    LogAppender file(folder_ + "/" + log + ".log");
    EXPECT_TRUE(file.open());
    const std::string one = line(text);
    EXPECT_EQ(file.append(one + "\n"), one.size() + 1);
    return one;
  }
  // A part of so many bytes, rotated away that long ago.
  void part(const std::string& log, Duration ago, size_t bytes) const {
    std::ofstream(
        part_path(folder_, log, clock_.wall() - std::chrono::duration_cast<WallTime::duration>(ago)))
        << std::string(bytes, 'x');
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_))
      names.push_back(entry.path().filename().string());
    return names;
  }
  std::vector<std::string> all_lines() const {
    LogHistory history(folder_, "app", {});
    EXPECT_TRUE(history.begin());
    std::vector<std::string> lines;
    for (std::string one; history.next(one);) lines.push_back(one);
    return lines;
  }

  VirtualClock clock_;  // from 2023-11-14T22:13:20Z on
  Log log_{"test", LogLevel::kError};
  std::string folder_;
  std::unique_ptr<LogRotation> rotation_;
};

TEST_F(LogRotationTest, BeginsANewFileOnceTheOldOneIsLarge) {
  write("short");
  rotation_->rotate();
  EXPECT_THAT(files(), ElementsAre("app.log"));
  write(std::string(100, 'x'));
  rotation_->rotate();
  EXPECT_THAT(files(), ElementsAre("app-20231114T221320.000Z.log"));
  write("next");
  EXPECT_THAT(files(), UnorderedElementsAre("app-20231114T221320.000Z.log", "app.log"));
}

TEST_F(LogRotationTest, BeginsANewFileWhenTheOldOneIsADayOld) {
  write("first");
  clock_.advance(hours(23));
  write("second");
  rotation_->rotate();
  EXPECT_THAT(files(), ElementsAre("app.log"));
  clock_.advance(hours(1));
  rotation_->rotate();
  EXPECT_THAT(files(), ElementsAre("app-20231115T221320.000Z.log"));
}

TEST_F(LogRotationTest, AnEmptyLogStays) {
  std::ofstream(folder_ + "/access.log") << "";
  clock_.advance(hours(1000));
  rotation_->rotate();
  EXPECT_THAT(files(), ElementsAre("access.log"));
}

TEST_F(LogRotationTest, TheNamesKeepTheirOrderWhenTheClockIsSetBack) {
  part("app", -hours(5), 10);
  const std::string written = write(std::string(100, 'x'));
  rotation_->rotate();
  const std::vector<LogPart> parts = log_parts(folder_, "app");
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts.back().until, clock_.wall() + hours(5) + std::chrono::milliseconds(1));
  EXPECT_EQ(parts.back().bytes, written.size() + 1);
}

TEST_F(LogRotationTest, CompressesOnlyWhatNobodyWritesAnyMore) {
  LogAppender writer(folder_ + "/app.log");
  ASSERT_TRUE(writer.open());
  const std::string first = line(std::string(100, 'x'));
  writer.append(first + "\n");
  rotation_->rotate();
  EXPECT_FALSE(rotation_->compress_one());
  const std::string late = line("late");
  writer.append(late + "\n");
  ASSERT_TRUE(writer.was_moved());
  ASSERT_TRUE(writer.open());
  EXPECT_TRUE(rotation_->compress_one());
  EXPECT_FALSE(rotation_->compress_one());
  EXPECT_THAT(files(), UnorderedElementsAre("app-20231114T221320.000Z.log.zst", "app.log"));
  EXPECT_THAT(all_lines(), ElementsAre(first, late));
}

TEST_F(LogRotationTest, AWriterNeverGetsAFileThatIsBeingCompressed) {
  write(std::string(100, 'x'));
  LogAppender writer(folder_ + "/app.log");
  const std::string part = part_path(folder_, "app", clock_.wall());
  std::filesystem::rename(folder_ + "/app.log", part);
  ASSERT_TRUE(pack_log(part));
  ASSERT_TRUE(writer.open());
  writer.append("new\n");
  EXPECT_THAT(files(), UnorderedElementsAre("app-20231114T221320.000Z.log.zst", "app.log"));
}

TEST_F(LogRotationTest, ManyRotationsLoseNoLineAndKeepTheOrder) {
  std::vector<std::string> written;
  for (int i = 0; i < 200; ++i) {
    written.push_back(write("line " + std::to_string(i) + std::string(static_cast<size_t>(i % 40), '.')));
    clock_.advance(seconds(i % 3));
    rotation_->rotate();
    if (i % 7 == 0) rotation_->compress_one();
  }
  EXPECT_THAT(all_lines(), written);
  LogHistory history(folder_, "app", {});
  const auto newest = history.newest(150);
  ASSERT_TRUE(newest);
  EXPECT_EQ(*newest, std::vector(written.begin() + 50, written.end()));
  const std::string from(time_of_log_line(written[100]));
  LogHistory since(folder_, "app", {.since = from});
  const auto first =
      std::ranges::find_if(written, [&](const auto& one) { return time_of_log_line(one) >= from; });
  EXPECT_EQ(*since.newest(1000), std::vector(first, written.end()));
}

TEST_F(LogRotationTest, RemovesPartsThatAreTooOld) {
  limit({.age_max = hours(24 * 7)});
  part("app", hours(24 * 7), 10);
  part("app", hours(24 * 7 - 1), 10);
  part("terrace", hours(24 * 8), 10);
  rotation_->prune();
  EXPECT_THAT(files(), ElementsAre("app-20231107T231320.000Z.log"));
}

TEST_F(LogRotationTest, BeyondTheTotalTheLargestLogLosesItsOldestPart) {
  limit({.total_bytes_max = 1000});
  part("access", hours(3), 400);
  part("access", hours(2), 400);
  part("access", hours(1), 400);
  part("app", hours(30), 300);
  part("terrace", hours(40), 100);
  rotation_->prune();
  EXPECT_THAT(files(), UnorderedElementsAre("access-20231114T211320.000Z.log", "app-20231113T161320.000Z.log",
                                            "terrace-20231113T061320.000Z.log"));
}

TEST_F(LogRotationTest, ASmallTotalMakesSmallFiles) {
  limit({.file_bytes_max = 1000, .total_bytes_max = 1000});
  write(std::string(240, 'x'));
  rotation_->rotate();
  EXPECT_EQ(log_parts(folder_, "app").size(), 1U);
}

TEST_F(LogRotationTest, LeavesFilesOfOthersAlone) {
  limit({.age_max = std::chrono::minutes(1), .total_bytes_max = 1});
  for (const char* name : {"app.log.1", "app.log-20231101", "app-notes.log", "app-20231114.log", "other.log"})
    std::ofstream(folder_ + "/" + name) << "x";
  clock_.advance(hours(2));
  rotation_->prune();
  EXPECT_FALSE(rotation_->compress_one());
  EXPECT_EQ(files().size(), 5U);
}

TEST_F(LogRotationTest, ACompressionThatWasBrokenOffIsDoneAgain) {
  const std::string first = write(std::string(100, 'x'));
  rotation_->rotate();
  const std::string part = folder_ + "/app-20231114T221320.000Z.log";
  std::ofstream(part + std::string(kUnfinishedSuffix)) << "half";
  rotation_->remove_unfinished();
  EXPECT_THAT(files(), ElementsAre("app-20231114T221320.000Z.log"));
  // Broken off between the two files being there and the plain one being removed.
  std::filesystem::copy(part, folder_ + "/kept");
  ASSERT_TRUE(pack_log(part));
  std::filesystem::rename(folder_ + "/kept", part);
  EXPECT_THAT(all_lines(), ElementsAre(first));
  limit({.total_bytes_max = 1});
  rotation_->prune();
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(LogRotationTest, APartKeepsModeAndTimeWhenItIsCompressed) {
  write(std::string(100, 'x'));
  rotation_->rotate();
  const std::string part = folder_ + "/app-20231114T221320.000Z.log";
  const timespec times[] = {{.tv_sec = 1000, .tv_nsec = 0}, {.tv_sec = 2000, .tv_nsec = 5}};
  ::utimensat(AT_FDCWD, part.c_str(), times, 0);
  ASSERT_TRUE(pack_log(part));
  struct stat about{};
  ASSERT_EQ(::stat((part + ".zst").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0137, 0U);
  EXPECT_EQ(about.st_mtim.tv_sec, 2000);
}

TEST_F(LogRotationTest, WhatLogrotateMadeIsReadToo) {
  std::ofstream(folder_ + "/app.log.2") << "oldest\n";
  std::ofstream(folder_ + "/app.log.1") << "older\nhalf";
  std::ofstream(folder_ + "/app.log") << "new\n";
  ASSERT_EQ(std::system(("gzip " + folder_ + "/app.log.2").c_str()), 0);
  const timespec old[] = {{.tv_sec = 1000, .tv_nsec = 0}, {.tv_sec = 1000, .tv_nsec = 0}};
  ::utimensat(AT_FDCWD, (folder_ + "/app.log.2.gz").c_str(), old, 0);
  EXPECT_THAT(all_lines(), ElementsAre("oldest", "older", "half", "new"));
}

TEST_F(LogRotationTest, ALargeFileComesOutOfCompressionAsItWentIn) {
  const std::string path = folder_ + "/app-20231114T221320.000Z.log";
  std::vector<std::string> lines;
  std::string text;
  for (int i = 0; i < 30'000; ++i) {
    lines.push_back("line " + std::to_string(i * 7919 % 104729) +
                    std::string(static_cast<size_t>(i % 200), 'x'));
    text += lines.back() + "\n";
  }
  std::ofstream(path) << text;
  ASSERT_TRUE(pack_log(path));
  EXPECT_LT(std::filesystem::file_size(path + ".zst"), text.size() / 4);
  EXPECT_EQ(all_lines(), lines);
}

}  // namespace
}  // namespace terrace::program

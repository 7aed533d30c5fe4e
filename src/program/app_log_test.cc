#include "program/app_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

#include "base/file.h"

namespace terrace::program {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Lines, AreCutWhereverTheBytesAreSplit) {
  Lines lines;
  EXPECT_THAT(lines.add("one\ntw"), ElementsAre("one"));
  EXPECT_THAT(lines.add("o"), IsEmpty());
  EXPECT_THAT(lines.add("\r\n\nthree"), ElementsAre("two", ""));
  EXPECT_EQ(lines.take_rest(), "three");
  EXPECT_EQ(lines.take_rest(), "");
}

TEST(Lines, WithoutAnEndAreCutAtTheirLimit) {
  Lines lines;
  const std::string endless(2 * Lines::kLineBytesMax + 1, 'x');
  const std::deque<std::string> cut = lines.add(endless);
  ASSERT_EQ(cut.size(), 2U);
  EXPECT_EQ(cut[0].size(), Lines::kLineBytesMax);
  EXPECT_EQ(lines.take_rest(), "x");
}

TEST(AppLog, HasOneLineForEachWithTimeAndName) {
  const std::string path = "/tmp/terrace-app-log-" + std::to_string(::getpid());
  VirtualClock clock;
  AppLog log(clock);
  ASSERT_TRUE(log.open(path));
  log.write("app-1", "hello");
  log.write("app-2", std::deque<std::string>{"a", "b"});
  EXPECT_EQ(*read_file(path, 4096),
            "2023-11-14T22:13:20.000Z app-1: hello\n"
            "2023-11-14T22:13:20.000Z app-2: a\n"
            "2023-11-14T22:13:20.000Z app-2: b\n");
  ::unlink(path.c_str());
}

TEST(AppLog, BeginsANewFileWhenTheOldOneWasMovedAway) {
  const std::string path = "/tmp/terrace-app-log-moved-" + std::to_string(::getpid());
  VirtualClock clock;
  AppLog log(clock);
  ASSERT_TRUE(log.open(path));
  log.write("app-1", "old");
  ASSERT_EQ(::rename(path.c_str(), (path + ".1").c_str()), 0);
  clock.advance(std::chrono::seconds(2));
  log.write("app-1", "new");
  EXPECT_EQ(*read_file(path, 4096), "2023-11-14T22:13:22.000Z app-1: new\n");
  ::unlink(path.c_str());
  ::unlink((path + ".1").c_str());
}

TEST(AppLog, NamesTheReleaseOfItsWriter) {
  EXPECT_EQ(name_in_log("app-1", 0), "app-1");
  EXPECT_EQ(name_in_log("app-1", 7), "app-1@7");
}

// A limit of the file's size stands for a full disk: the kernel takes a part of what
// is written, then nothing.
TEST(AppLog, OnAFullDiskLosesWholeLinesAndSaysHowManyOnceThereIsRoom) {
  const std::string path = "/tmp/terrace-app-log-full-" + std::to_string(::getpid());
  VirtualClock clock;
  AppLog log(clock);
  ASSERT_TRUE(log.open(path));
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{.rlim_cur = 80, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  log.write("app-1", std::deque<std::string>{"first", "second", "third"});
  log.write("app-1", "fourth");
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(*read_file(path, 4096),
            "2023-11-14T22:13:20.000Z app-1: first\n"
            "2023-11-14T22:13:20.000Z app-1: second\n");
  EXPECT_EQ(log.lines_lost(), 2U);
  log.write("app-1", "fifth");
  EXPECT_EQ(read_file(path, 4096)->substr(77),
            "2023-11-14T22:13:20.000Z terrace: warning: 2 lines were lost: File too large\n"
            "2023-11-14T22:13:20.000Z app-1: fifth\n");
  log.write("app-1", "sixth");
  EXPECT_EQ(log.lines_lost(), 2U);
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace terrace::program

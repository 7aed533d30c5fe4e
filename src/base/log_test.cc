#include "base/log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace terrace {
namespace {

std::string line_of(std::string_view text, std::string_view value) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  Log("worker", LogLevel::kInfo, ends[1]).warning(text, {{"value", value}, {"count", 3}});
  char line[4096];
  const ssize_t n = ::read(ends[0], line, sizeof line);
  ::close(ends[0]);
  ::close(ends[1]);
  return std::string(line, static_cast<size_t>(n)).substr(25);
}

TEST(Log, WritesLevelProcessTextAndFields) {
  EXPECT_EQ(line_of("instance ended", "app-1"), "warning worker: instance ended value=app-1 count=3\n");
}

TEST(Log, QuotesWhatCouldForgeALine) {
  EXPECT_EQ(line_of("x", "a\nb=\"c\""), "warning worker: x value=\"a\\nb=\\\"c\\\"\" count=3\n");
}

struct Kept final : LogCopy {
  void write(std::string_view line) override { text += line; }
  std::string text;
};

TEST(Log, CopiesEachLineToASecondPlace) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  Log log("worker", LogLevel::kInfo, ends[1]);
  Kept kept;
  log.copy_to(&kept);
  log.info("twice");
  log.copy_to(nullptr);
  log.info("once");
  char text[4096];
  const std::string_view lines(text, static_cast<size_t>(::read(ends[0], text, sizeof text)));
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_EQ(std::ranges::count(lines, '\n'), 2);
  EXPECT_TRUE(lines.starts_with(kept.text));
}

TEST(Log, GivesTheJournalALevelAndNoTime) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  struct stat about{};
  ASSERT_EQ(::fstat(ends[1], &about), 0);
  const std::string stream = std::to_string(about.st_dev) + ":" + std::to_string(about.st_ino);
  EXPECT_FALSE(is_journal(ends[1], nullptr));
  EXPECT_FALSE(is_journal(0, stream.c_str()));
  EXPECT_TRUE(is_journal(ends[1], stream.c_str()));
  ::setenv("JOURNAL_STREAM", stream.c_str(), 1);
  Kept kept;
  Log log("worker", LogLevel::kInfo, ends[1]);
  ::unsetenv("JOURNAL_STREAM");
  log.copy_to(&kept);
  log.warning("instance ended", {{"signal", 9}});
  char text[4096];
  const std::string_view line(text, static_cast<size_t>(::read(ends[0], text, sizeof text)));
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_EQ(line, "<4>worker: instance ended signal=9\n");
  EXPECT_EQ(kept.text.substr(25), "warning worker: instance ended signal=9\n");
}

TEST(Log, WritesTimesInUtcToTheMillisecond) {
  EXPECT_EQ(log_time(WallTime(std::chrono::milliseconds(1'700'000'000'042))), "2023-11-14T22:13:20.042Z");
}

TEST(Log, ReplacesBytesThatAreNotUtf8) {
  std::string out;
  append_json_escaped(out, "a\xff\xc0\xaf é\x1b");
  EXPECT_EQ(out, "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd é\\u001b");
}

}  // namespace
}  // namespace terrace

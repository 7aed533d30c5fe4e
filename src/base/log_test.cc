#include "base/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
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

TEST(Log, CopiesEachLineToASecondDescriptor) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  Log log("worker", LogLevel::kInfo, ends[1]);
  log.copy_to(ends[1]);
  log.info("twice");
  log.copy_to(-1);
  log.info("once");
  char text[4096];
  const std::string_view lines(text, static_cast<size_t>(::read(ends[0], text, sizeof text)));
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_EQ(std::ranges::count(lines, '\n'), 3);
}

TEST(Log, ReplacesBytesThatAreNotUtf8) {
  std::string out;
  append_json_escaped(out, "a\xff\xc0\xaf é\x1b");
  EXPECT_EQ(out, "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd é\\u001b");
}

}  // namespace
}  // namespace terrace

#include "config/quantity.h"

#include <gtest/gtest.h>

namespace terrace::config {
namespace {

using std::chrono::milliseconds;

TEST(Durations, AreANumberAndAUnit) {
  EXPECT_EQ(parse_duration("500ms"), milliseconds(500));
  EXPECT_EQ(parse_duration("10s"), milliseconds(10'000));
  EXPECT_EQ(parse_duration("5m"), milliseconds(300'000));
  EXPECT_EQ(parse_duration("1h"), milliseconds(3'600'000));
  EXPECT_EQ(parse_duration("7d"), milliseconds(604'800'000));
}

TEST(Durations, AreNothingElse) {
  for (const char* text : {"", "s", "5", "5 s", " 5s", "-5s", "+5s", "1.5s", "5S", "5sec", "0x5s", "5s ",
                           "9223372036854775807d", "99999999999999999999s", "3651d"})
    EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Sizes, AreDecimalOrBinary) {
  EXPECT_EQ(parse_size("512B"), 512);
  EXPECT_EQ(parse_size("1KB"), 1000);
  EXPECT_EQ(parse_size("1KiB"), 1024);
  EXPECT_EQ(parse_size("512MB"), 512'000'000);
  EXPECT_EQ(parse_size("1GiB"), 1 << 30);
  for (const char* text : {"", "512", "512 MB", "-1B", "1mb", "1M", "99999TB"})
    EXPECT_FALSE(parse_size(text)) << text;
}

TEST(Quantities, AreWrittenBackInTheLargestUnitThatFits) {
  EXPECT_EQ(format_duration(milliseconds(1500)), "1500ms");
  EXPECT_EQ(format_duration(milliseconds(60'000)), "1m");
  EXPECT_EQ(format_duration(milliseconds(90'000)), "90s");
  EXPECT_EQ(format_duration(milliseconds(0)), "0ms");
  EXPECT_EQ(format_size(100 << 20), "100MiB");
  EXPECT_EQ(format_size(512'000'000), "512MB");
  EXPECT_EQ(format_size(0), "0B");
}

}  // namespace
}  // namespace terrace::config

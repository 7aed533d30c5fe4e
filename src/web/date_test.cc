#include "web/date.h"

#include <gtest/gtest.h>

#include "http/date.h"

namespace terrace::web {
namespace {

constexpr std::time_t kNow = 1'700'000'000;  // November 2023
constexpr std::time_t kExample = 784'111'777;

TEST(Date, ReadsTheThreeFormsOfTheStandard) {
  EXPECT_EQ(parse_date("Sun, 06 Nov 1994 08:49:37 GMT", kNow), kExample);
  EXPECT_EQ(parse_date("Sunday, 06-Nov-94 08:49:37 GMT", kNow), kExample);
  EXPECT_EQ(parse_date("Sun Nov  6 08:49:37 1994", kNow), kExample);
  EXPECT_EQ(parse_date("Wed Nov 16 08:49:37 1994", kNow), kExample + 10 * 86400);
}

TEST(Date, ReadsWhatTheServerWrites) {
  for (const std::time_t seconds :
       {std::time_t{0}, std::time_t{951'782'400}, kNow, std::time_t{4'000'000'000}}) {
    const auto text = http::format_date(seconds);
    EXPECT_EQ(parse_date({text.data(), text.size()}, kNow), seconds);
  }
}

TEST(Date, PutsYearsOfTwoDigitsAtMostFiftyYearsAhead) {
  EXPECT_EQ(parse_date("Friday, 01-Jan-73 00:00:00 GMT", kNow), 3'250'454'400);  // 2073
  EXPECT_EQ(parse_date("Tuesday, 01-Jan-74 00:00:00 GMT", kNow), 126'230'400);   // 1974
}

TEST(Date, RefusesWhatIsNoDate) {
  for (const char* text :
       {"", "now", "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 08:49:37 UTC", "sun, 06 Nov 1994 08:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT", "Sun Nov 6 08:49:37 1994"}) {
    EXPECT_EQ(parse_date(text, kNow), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace terrace::web

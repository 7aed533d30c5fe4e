#include "web/conditions.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <utility>

namespace terrace::web {
namespace {

constexpr std::time_t kModified = 784'111'777;  // Sun, 06 Nov 1994 08:49:37 GMT
constexpr std::time_t kNow = 1'700'000'000;
constexpr const char* kDate = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr const char* kEarlier = "Sun, 06 Nov 1994 08:49:36 GMT";
constexpr Validators kValidators{.etag = "\"abc\"", .modified = kModified};

http::Fields fields(std::initializer_list<std::pair<std::string_view, std::string_view>> lines) {
  http::Fields result;
  for (const auto& [name, value] : lines) {
    result.add({.name = name, .value = value, .id = http::header_id(name), .hop_by_hop = false});
  }
  return result;
}

Outcome evaluate(std::initializer_list<std::pair<std::string_view, std::string_view>> lines) {
  return evaluate_conditions(fields(lines), kValidators, kNow);
}

TEST(Conditions, NoneMeansProceed) { EXPECT_EQ(evaluate({}), Outcome::kProceed); }

TEST(Conditions, IfNoneMatchComparesWeakly) {
  EXPECT_EQ(evaluate({{"If-None-Match", "\"abc\""}}), Outcome::kNotModified);
  EXPECT_EQ(evaluate({{"If-None-Match", "W/\"abc\""}}), Outcome::kNotModified);
  EXPECT_EQ(evaluate({{"If-None-Match", "*"}}), Outcome::kNotModified);
  EXPECT_EQ(evaluate({{"If-None-Match", "\"x,y\", \"abc\""}}), Outcome::kNotModified);
  EXPECT_EQ(evaluate({{"If-None-Match", "\"x\""}}), Outcome::kProceed);
  EXPECT_EQ(evaluate({{"If-None-Match", "abc"}}), Outcome::kProceed);
  EXPECT_EQ(evaluate({{"If-None-Match", "\"x\""}, {"If-None-Match", "\"abc\""}}), Outcome::kNotModified);
}

TEST(Conditions, IfMatchComparesStrongly) {
  EXPECT_EQ(evaluate({{"If-Match", "\"abc\""}}), Outcome::kProceed);
  EXPECT_EQ(evaluate({{"If-Match", "*"}}), Outcome::kProceed);
  EXPECT_EQ(evaluate({{"If-Match", "W/\"abc\""}}), Outcome::kPreconditionFailed);
  EXPECT_EQ(evaluate({{"If-Match", "\"x\""}}), Outcome::kPreconditionFailed);
}

TEST(Conditions, DatesCountBySeconds) {
  EXPECT_EQ(evaluate({{"If-Modified-Since", kDate}}), Outcome::kNotModified);
  EXPECT_EQ(evaluate({{"If-Modified-Since", kEarlier}}), Outcome::kProceed);
  EXPECT_EQ(evaluate({{"If-Unmodified-Since", kDate}}), Outcome::kProceed);
  EXPECT_EQ(evaluate({{"If-Unmodified-Since", kEarlier}}), Outcome::kPreconditionFailed);
  EXPECT_EQ(evaluate({{"If-Modified-Since", "yesterday"}}), Outcome::kProceed);
}

TEST(Conditions, TagsGoBeforeDates) {
  EXPECT_EQ(evaluate({{"If-None-Match", "\"x\""}, {"If-Modified-Since", kDate}}), Outcome::kProceed);
  EXPECT_EQ(evaluate({{"If-Match", "\"abc\""}, {"If-Unmodified-Since", kEarlier}}), Outcome::kProceed);
  EXPECT_EQ(evaluate({{"If-Match", "\"x\""}, {"If-None-Match", "\"abc\""}}), Outcome::kPreconditionFailed);
  EXPECT_EQ(evaluate({{"If-Match", "\"abc\""}, {"If-None-Match", "\"abc\""}}), Outcome::kNotModified);
}

bool applies(std::string_view if_range) {
  return range_applies(fields({{"If-Range", if_range}}), kValidators, kNow);
}

TEST(Conditions, IfRangeNeedsTheVeryRepresentation) {
  EXPECT_TRUE(range_applies(fields({}), kValidators, kNow));
  EXPECT_TRUE(applies("\"abc\""));
  EXPECT_FALSE(applies("W/\"abc\""));
  EXPECT_FALSE(applies("\"x\""));
  EXPECT_TRUE(applies(kDate));
  EXPECT_FALSE(applies(kEarlier));
  EXPECT_FALSE(applies("nonsense"));
}

TEST(Conditions, IfRangeTakesNoDateOfThisVerySecond) {
  EXPECT_FALSE(range_applies(fields({{"If-Range", kDate}}), kValidators, kModified));
}

}  // namespace
}  // namespace terrace::web

#include "http/cookie.h"

#include <gtest/gtest.h>

namespace terrace::http {
namespace {

std::string_view found(std::string_view cookies, std::string_view name, std::string_view more = "") {
  Fields fields;
  fields.add({"Accept", "session=no", HeaderId::kAccept, false});
  fields.add({"Cookie", cookies, HeaderId::kCookie, false});
  if (!more.empty()) fields.add({"Cookie", more, HeaderId::kCookie, false});
  return cookie(fields, name);
}

TEST(Cookie, IsFoundWhereverItStands) {
  EXPECT_EQ(found("session=1", "session"), "1");
  EXPECT_EQ(found("a=b; session=1", "session"), "1");
  EXPECT_EQ(found("session=1;a=b", "session"), "1");
  EXPECT_EQ(found("a=b;session=x=y ", "session"), "x=y");
  EXPECT_EQ(found("a=b", "session", "session=2"), "2");
}

TEST(Cookie, OfAnotherNameIsNoneOfThisOne) {
  EXPECT_EQ(found("mysession=1; session2=2; Session=3; session", "session"), "");
  EXPECT_EQ(found("", "session"), "");
  EXPECT_EQ(found(";;=;", "session"), "");
  EXPECT_EQ(found("a=session=1", "session"), "");
}

TEST(Cookie, TheFirstOfTwoCounts) { EXPECT_EQ(found("session=1; session=2", "session"), "1"); }

}  // namespace
}  // namespace terrace::http

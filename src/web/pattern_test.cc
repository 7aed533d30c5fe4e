#include "web/pattern.h"

#include <gtest/gtest.h>

namespace terrace::web {
namespace {

Redirects rules(const std::vector<topology::Named>& named) {
  Result<Redirects> redirects = Redirects::create(named);
  EXPECT_TRUE(redirects) << redirects.error().text;
  return std::move(*redirects);
}

std::string target(const std::vector<topology::Named>& named, std::string_view path,
                   std::string_view query = "") {
  const std::optional<Redirect> redirect = rules(named).find(path, query);
  return redirect ? std::to_string(redirect->status) + " " + redirect->target : "none";
}

TEST(Redirects, LeadExactPathsElsewhere) {
  EXPECT_EQ(target({{"/old", "/new"}}, "/old"), "308 /new");
  EXPECT_EQ(target({{"/old", "/new"}}, "/old/"), "none");
  EXPECT_EQ(target({{"/old", "https://other.example/x"}}, "/old"), "308 https://other.example/x");
  EXPECT_EQ(target({{"/old", "302 /new"}}, "/old"), "302 /new");
}

TEST(Redirects, CarryWhatTheStarTook) {
  EXPECT_EQ(target({{"/blog/*", "/news/*"}}, "/blog/2024/a"), "308 /news/2024/a");
  EXPECT_EQ(target({{"/blog/*", "/news"}}, "/blog/2024/a"), "308 /news");
  EXPECT_EQ(target({{"/*.php", "/*.html"}}, "/a/b.php"), "308 /a/b.html");
  EXPECT_EQ(target({{"/blog/*", "https://blog.example/*?from=old"}}, "/blog/a b"),
            "308 https://blog.example/a%20b?from=old");
}

TEST(Redirects, KeepTheQuery) {
  EXPECT_EQ(target({{"/old", "/new"}}, "/old", "a=1&b=2"), "308 /new?a=1&b=2");
  EXPECT_EQ(target({{"/old", "/new?x=1"}}, "/old", "a=1"), "308 /new?x=1");
}

TEST(Redirects, AreFollowedSoThatTheClientGetsOne) {
  EXPECT_EQ(target({{"/a", "/b"}, {"/b", "/c"}}, "/a"), "308 /c");
}

TEST(Redirects, DoNotTurnInCircles) {
  EXPECT_EQ(target({{"/a", "/b"}, {"/b", "/a"}}, "/a"), "none");
  EXPECT_EQ(target({{"/a", "/b"}, {"/b", "/c"}, {"/c", "/a"}}, "/b"), "none");
}

TEST(Redirects, NeverNameAnotherHostByChance) {
  EXPECT_EQ(target({{"/old*", "/*"}}, "/old/evil.example"), "308 /evil.example");
  EXPECT_EQ(target({{"/old*", "/*"}}, "/old\\evil.example"), "308 /%5Cevil.example");
}

TEST(Redirects, NeverLetTheStarReachIntoTheHost) {
  EXPECT_EQ(target({{"/old*", "https://good.example*"}}, "/old@evil.example"),
            "308 https://good.example/@evil.example");
}

TEST(Redirects, LeaveAloneWhatIsWhereItShouldBe) {
  EXPECT_EQ(target({{"/docs/*", "/docs/v2/*"}}, "/docs/a"), "308 /docs/v2/a");
  EXPECT_EQ(target({{"/docs/*", "/docs/v2/*"}}, "/docs/v2/a"), "none");
  EXPECT_EQ(target({{"*", "/closed.html"}}, "/a"), "308 /closed.html");
  EXPECT_EQ(target({{"*", "/closed.html"}}, "/closed.html"), "none");
}

TEST(Redirects, TakePatternsOfAnyForm) {
  EXPECT_EQ(target({{"*.php", "/old*.html"}}, "/a.php"), "308 /old/a.html");
  EXPECT_EQ(target({{"/a*b*c", "/x/*"}}, "/aXbYc"), "308 /x/XbY");
  EXPECT_EQ(target({{"/caf%C3%A9", "/coffee#menu"}}, "/caf\xc3\xa9", "x=1"), "308 /coffee#menu");
}

TEST(Redirects, RefuseTargetsThatMakeNoSense) {
  EXPECT_FALSE(Redirects::create({{"/old", "new"}}));
  EXPECT_FALSE(Redirects::create({{"/old", "//new.example"}}));
  EXPECT_FALSE(Redirects::create({{"/old", "200 /new"}}));
  EXPECT_FALSE(Redirects::create({{"/old", "/with space"}}));
}

TEST(EncodePath, WritesPathsThatStayPaths) {
  EXPECT_EQ(encode_path("/a b/ü?#%"), "/a%20b/%C3%BC%3F%23%25");
  EXPECT_EQ(encode_path("//evil.example"), "/evil.example");
  EXPECT_EQ(encode_path("/\\evil.example\r\n"), "/%5Cevil.example%0D%0A");
}

}  // namespace
}  // namespace terrace::web

#include "cluster/hello.h"

#include <gtest/gtest.h>

namespace terrace::cluster {
namespace {

const Hello kHello{
    .server = "web1", .program = "0.1.0", .time = std::chrono::milliseconds(1'764'000'000'123)};

TEST(Hello, IsReadAsItWasWritten) { EXPECT_EQ(parse_hello(to_json(kHello)).value(), kHello); }

TEST(Hello, MayComeFromAServerWithoutAName) {
  Hello hello = kHello;
  hello.server.clear();
  EXPECT_EQ(parse_hello(to_json(hello)).value(), hello);
}

TEST(Hello, WhatIsNotKnownIsIgnored) {
  EXPECT_TRUE(parse_hello(
      R"({"channel":{"from":1,"to":9,"x":1},"server":"a","program":"9","time_ms":1,"later":[1]})"));
}

TEST(Hello, WhatIsMissingOrWrongIsRefused) {
  for (const char* text : {
           "",
           "[]",
           "{",
           R"({"server":"a","program":"1","time_ms":1})",
           R"({"channel":1,"server":"a","program":"1","time_ms":1})",
           R"({"channel":{"from":0,"to":1},"server":"a","program":"1","time_ms":1})",
           R"({"channel":{"from":2,"to":1},"server":"a","program":"1","time_ms":1})",
           R"({"channel":{"from":1,"to":1.5},"server":"a","program":"1","time_ms":1})",
           R"({"channel":{"from":1,"to":1},"server":"a b","program":"1","time_ms":1})",
           R"({"channel":{"from":1,"to":1},"server":7,"program":"1","time_ms":1})",
           R"({"channel":{"from":1,"to":1},"server":"a","program":"a\nb","time_ms":1})",
           R"({"channel":{"from":1,"to":1},"server":"a","program":"1","time_ms":-1})",
           R"({"channel":{"from":1,"to":1},"server":"a","program":"1","time_ms":99999999999999999})",
       })
    EXPECT_FALSE(parse_hello(text)) << text;
}

TEST(Hello, TheHighestVersionThatBothKnowIsSpoken) {
  EXPECT_EQ(common_version({.from = 1, .to = 3}, {.from = 2, .to = 5}), 3);
  EXPECT_EQ(common_version({.from = 1, .to = 1}, {.from = 2, .to = 5}), 0);
}

TEST(Request, IsNamedByAWord) {
  EXPECT_EQ(request_name(R"({"request":"apply-check","x":1})").value(), "apply-check");
  for (const char* text : {"", "7", R"({"request":7})", R"({"request":""})", R"({"request":"A"})",
                           R"({"request":"a b"})", R"({"request":"abcdefghijklmnopqrstuvwxyzabcdefg"})"})
    EXPECT_FALSE(request_name(text)) << text;
}

}  // namespace
}  // namespace terrace::cluster

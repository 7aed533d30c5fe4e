#include "program/log_line.h"

#include <gtest/gtest.h>

namespace terrace::program {
namespace {

constexpr std::string_view kApp = "2026-11-22T10:00:00.123Z app-1: it said \"app-2\": yes";
constexpr std::string_view kJson =
    R"({"time":"2026-11-22T10:00:00.123Z","target":"/?\",\"instance\":\"app-2\"","instance":"app-1","referer":""})";
constexpr std::string_view kReadable =
    R"(2026-11-22T10:00:00.123Z ::1 "GET h/ app-2 HTTP/1.1" 200 5 1.000ms app-1 4f1c "" "\" app-3 \"")";
constexpr std::string_view kTerrace =
    "2026-11-22T10:00:00.123Z warning controller: instance ended instance=app-1";

TEST(LogLine, EveryLogKnowsItsInstance) {
  for (const std::string_view line : {kApp, kJson, kReadable, kTerrace}) {
    EXPECT_TRUE(log_line_is_of(line, "app-1")) << line;
    EXPECT_FALSE(log_line_is_of(line, "app-2")) << line;
    EXPECT_FALSE(log_line_is_of(line, "app-3")) << line;
    EXPECT_FALSE(log_line_is_of(line, "app")) << line;
  }
}

TEST(LogLine, BecomesJsonWithItsParts) {
  EXPECT_EQ(
      log_line_json("app", kApp),
      R"({"log":"app","time":"2026-11-22T10:00:00.123Z","instance":"app-1","text":"it said \"app-2\": yes"})");
  EXPECT_EQ(log_line_json("access", kJson), R"({"log":"access","entry":)" + std::string(kJson) + "}");
  EXPECT_EQ(log_line_json("terrace", kTerrace),
            R"({"log":"terrace","time":"2026-11-22T10:00:00.123Z",)"
            R"("text":"warning controller: instance ended instance=app-1"})");
}

TEST(LogLine, ALineOfAnotherFormIsAllText) {
  EXPECT_EQ(log_line_json("app", "{broken"), R"({"log":"app","text":"{broken"})");
  EXPECT_EQ(log_line_json("app", ""), R"({"log":"app","text":""})");
  EXPECT_EQ(split_app_line("hello world").text, "hello world");
}

}  // namespace
}  // namespace terrace::program

#include "program/log_line.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "program/log_filter.h"

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
  EXPECT_EQ(log_line_json("app", kApp),
            R"({"log":"app","time":"2026-11-22T10:00:00.123Z","instance":"app-1","level":"info",)"
            R"("text":"it said \"app-2\": yes"})");
  EXPECT_EQ(log_line_json("app", "2026-11-22T10:00:00.123Z app-1@7: x"),
            R"({"log":"app","time":"2026-11-22T10:00:00.123Z","instance":"app-1","release":7,)"
            R"("level":"info","text":"x"})");
  EXPECT_EQ(log_line_json("access", kJson), R"({"log":"access","entry":)" + std::string(kJson) + "}");
  EXPECT_EQ(log_line_json("terrace", kTerrace),
            R"({"log":"terrace","time":"2026-11-22T10:00:00.123Z","level":"warning",)"
            R"("text":"warning controller: instance ended instance=app-1"})");
}

TEST(LogLine, ALineOfAnotherFormIsAllText) {
  EXPECT_EQ(log_line_json("app", "{broken"), R"({"log":"app","text":"{broken"})");
  EXPECT_EQ(log_line_json("app", ""), R"({"log":"app","text":""})");
  EXPECT_EQ(split_app_line("hello world").text, "hello world");
}

TEST(LogLine, EveryLogKnowsItsRelease) {
  for (const std::string_view line :
       {"2026-11-22T10:00:00.123Z app-1@7: of @8",
        R"({"time":"x","instance":"app-1","release":7,"request_id":""})",
        R"(2026-11-22T10:00:00.123Z ::1 "GET h/@8 HTTP/1.1" 200 5 1.000ms app-1@7 4f1c "" "")",
        "2026-11-22T10:00:00.123Z warning controller: instance ended instance=app-1 release=7"}) {
    EXPECT_TRUE(log_line_is_of_release(line, 7)) << line;
    EXPECT_TRUE(log_line_is_of(line, "app-1") || line.find('x') != std::string_view::npos) << line;
    EXPECT_FALSE(log_line_is_of_release(line, 8)) << line;
    EXPECT_FALSE(log_line_is_of_release(line, 77)) << line;
  }
  EXPECT_FALSE(log_line_is_of_release(kApp, 1));
  EXPECT_TRUE(log_line_is_of_release("2026-11-22T10:00:00.123Z build-7: done", 7));
}

TEST(LogLine, EveryLogHasItsTimeAtTheStart) {
  for (const std::string_view line : {kApp, kJson, kReadable, kTerrace})
    EXPECT_EQ(time_of_log_line(line), "2026-11-22T10:00:00.123Z");
  EXPECT_EQ(time_of_log_line("no time"), "");
  EXPECT_EQ(time_of_log_line(""), "");
}

TEST(LogLine, ATimeIsMeantInManyForms) {
  const WallTime now = *wall_time("2026-11-22T10:00:00.500Z");
  for (const auto& [text, meant] : {std::pair("30s", "2026-11-22T09:59:30.500Z"),
                                    {"10m", "2026-11-22T09:50:00.500Z"},
                                    {"2h", "2026-11-22T08:00:00.500Z"},
                                    {"1d", "2026-11-21T10:00:00.500Z"},
                                    {"1w", "2026-11-15T10:00:00.500Z"},
                                    {"2026-02-03", "2026-02-03T00:00:00.000Z"},
                                    {"2026-02-03T04:05", "2026-02-03T04:05:00.000Z"},
                                    {"2026-02-03 04:05:06", "2026-02-03T04:05:06.000Z"},
                                    {"2026-02-03T04:05:06.007Z", "2026-02-03T04:05:06.007Z"}}) {
    const std::optional<WallTime> time = time_meant(text, now);
    ASSERT_TRUE(time) << text;
    EXPECT_EQ(log_time(*time), meant) << text;
  }
  for (const std::string_view wrong :
       {"", "m", "-1m", "10", "10 m", "x10m", "2026", "2026-1-2", "2026-02-03T04", "2026-13-01", "2026-02-31",
        "2026-00-01", "2026-01-00", "2026-02-03T24:00", "2026-02-03T04:05:06.007+01"})
    EXPECT_FALSE(time_meant(wrong, now)) << wrong;
}

TEST(LogLine, ARequestIsAsGraveAsItsStatus) {
  const auto level = [](const char* status) {
    const LogLevel json = level_of_log_line("access", fmt::format(R"({{"target":"/","status":{}}})", status));
    const LogLevel readable = level_of_log_line(
        "access", fmt::format(R"(2026-11-22T10:00:00.123Z ::1 "GET h/\" 500 \" HTTP/1.1" {} 5)", status));
    EXPECT_EQ(json, readable) << status;
    return json;
  };
  EXPECT_EQ(level("200"), LogLevel::kInfo);
  EXPECT_EQ(level("304"), LogLevel::kInfo);
  EXPECT_EQ(level("404"), LogLevel::kWarning);
  EXPECT_EQ(level("502"), LogLevel::kError);
}

TEST(LogLine, TheLevelIsFoundWhereLoggersPutIt) {
  const auto level = [](const std::string& text) {
    return level_of_log_line("app", "2026-11-22T10:00:00.123Z app-1@7: " + text);
  };
  for (const char* error :
       {"ERROR:app:it broke", "[2026-11-23 10:00:00 +0000] [12] [CRITICAL] worker", "E, [2026-11-23",
        R"({"level":50,"msg":"x"})", R"({"severity": "ERROR"})", "TypeError: x is undefined",
        "ValueError: no", "Traceback (most recent call last):", "level=error msg=x",
        "a crash loop: it ended five times within a minute", "npm ERR! missing script",
        "Error: Cannot find module 'express'"})
    EXPECT_EQ(level(error), LogLevel::kError) << error;
  for (const char* warning : {"WARNING:root:careful", "W, [2026-11-23", R"({"level":"warn"})", "<warn> x",
                              "(node:7) [DEP0005] DeprecationWarning: x WARN", "ended: exit status 3"})
    EXPECT_EQ(level(warning), LogLevel::kWarning) << warning;
  for (const char* info : {"listening on port 20001", "there was no error", "GET /error 200", "", "{}",
                           "[info] ready", R"({"level":30})", "stopped: exit status 0"})
    EXPECT_EQ(level(info), LogLevel::kInfo) << info;
  EXPECT_EQ(level("DEBUG x"), LogLevel::kDebug);
  EXPECT_EQ(level_of_log_line("terrace", kTerrace), LogLevel::kWarning);
}

TEST(LogFilter, WantsWhatMeetsAllThatWasAsked) {
  EXPECT_TRUE(LogFilter{}.wants("app", kApp));
  EXPECT_TRUE((LogFilter{.instance = "app-1", .text = "yes"}.wants("app", kApp)));
  EXPECT_FALSE((LogFilter{.instance = "app-1", .text = "no"}.wants("app", kApp)));
  EXPECT_TRUE((LogFilter{.since = "2026-11-22T10:00:00.123Z"}.wants("app", kApp)));
  EXPECT_FALSE((LogFilter{.since = "2026-11-22T10:00:00.124Z"}.wants("access", kJson)));
  EXPECT_FALSE((LogFilter{.until = "2026-11-22T10:00:00.122Z"}.wants("access", kReadable)));
  EXPECT_TRUE((LogFilter{.level = LogLevel::kWarning}.wants("terrace", kTerrace)));
  EXPECT_FALSE((LogFilter{.level = LogLevel::kError}.wants("terrace", kTerrace)));
  EXPECT_FALSE((LogFilter{.since = "2026-11-22T10:00:00.123Z"}.wants("app", "no time")));
}

}  // namespace
}  // namespace terrace::program

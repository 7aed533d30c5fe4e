#include "lab/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace terrace::lab {
namespace {

TEST(Request, IsReadAsItWasWritten) {
  const Request requests[] = {
      {.command = LabCommand::kStatus},
      {.command = LabCommand::kEnter, .machine = "web1"},
      {.command = LabCommand::kCut, .machine = "web1", .other = "web2", .one_way = true},
      {.command = LabCommand::kHeal},
      {.command = LabCommand::kHeal, .machine = "web1", .other = "web2"},
      {.command = LabCommand::kLink, .machine = "web1", .up = false},
      {.command = LabCommand::kDown},
  };
  for (const Request& request : requests) {
    const Result<Request> read = parse_request(write_request(request));
    ASSERT_TRUE(read) << write_request(request) << ": " << read.error().text;
    EXPECT_EQ(*read, request) << write_request(request);
  }
}

TEST(Request, EveryCommandIsKnownByItsName) {
  for (int i = 0; i <= static_cast<int>(LabCommand::kDown); ++i) {
    const auto command = static_cast<LabCommand>(i);
    const std::string line =
        write_request({.command = command, .machine = "a", .other = i == 8 || i == 9 ? "b" : ""});
    const Result<Request> read = parse_request(line);
    const bool none = command == LabCommand::kStatus || command == LabCommand::kDown;
    EXPECT_EQ(read.has_value(), !none) << line;
    if (read) EXPECT_EQ(read->command, command);
  }
}

TEST(Request, AnythingElseIsRefused) {
  for (const char* line : {
           "",
           "status",
           "[]",
           "{}",
           R"({"command": 1})",
           R"({"command": "explode"})",
           R"({"command": "status", "machine": "web1"})",
           R"({"command": "stop"})",
           R"({"command": "stop", "machine": ""})",
           R"({"command": "stop", "machine": ["web1"]})",
           R"({"command": "cut", "machine": "web1"})",
           R"({"command": "cut", "machine": "web1", "other": "web2", "one_way": 1})",
           R"({"command": "heal", "other": "web2"})",
           R"({"command": "link", "machine": "web1", "up": "no"})",
           R"({"command": "down"} {)",
       })
    EXPECT_FALSE(parse_request(line)) << line;
  EXPECT_FALSE(parse_request(std::string(kRequestBytesMax + 1, ' ')));
}

}  // namespace
}  // namespace terrace::lab

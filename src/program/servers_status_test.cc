#include "program/servers_status.h"

#include <gtest/gtest.h>

#include "program/status.h"

namespace terrace::program {
namespace {

constexpr const char* kOwn = R"({"ok":true,"state":"serving","worker":{"connected":true},"backends":[
  {"pool":"","name":"web1","state":"down","seconds":3,"weight":1,"reason":"connect: Connection refused"},
  {"pool":"","name":"web2","state":"up","seconds":3,"weight":1}]})";

std::string servers(const std::string& of_web1) {
  return R"({"ok":true,"server":"lb1","servers":[{"name":"lb1","joined":true,"answers":true,
    "status":{"controller":{"state":"serving"}}},{"name":"web1","joined":true,)" +
         of_web1 +
         R"(},{"name":"web2","joined":true,"answers":true,"status":{"controller":{"state":"serving"}}}]})";
}

TEST(ServersStatus, SaysThatAServerIsDrainedWhereItsChecksSayItIsDown) {
  const std::string drained =
      servers(R"("answers":true,"status":{"controller":{"state":"serving","drained":true}})");
  const auto status = parse_status(with_servers(kOwn, drained));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->backends[0].state, "draining");
  EXPECT_EQ(status->backends[0].reason, "");
  EXPECT_EQ(status->backends[1].state, "up");
  EXPECT_TRUE(is_fine(*status));
}

TEST(ServersStatus, KeepsWhatChecksSayOfAServerThatDoesNotAnswer) {
  const auto status = parse_status(with_servers(kOwn, servers(R"("answers":false)")));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->backends[0].state, "down");
  EXPECT_EQ(status->backends[0].reason, "connect: Connection refused");
  EXPECT_FALSE(is_fine(*status));
}

}  // namespace
}  // namespace terrace::program

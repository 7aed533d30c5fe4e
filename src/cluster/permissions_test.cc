#include "cluster/permissions.h"

#include <gtest/gtest.h>

namespace terrace::cluster {
namespace {

using certificates::Reason;

constexpr std::string_view kAppOnly[] = {"app"};

Asker server_with(std::vector<std::string> roles) {
  return {.identity = certificates::Identity{.site = "s", .server = "web1", .roles = std::move(roles)}};
}

TEST(Permissions, EveryMemberMayAskWhatNeedsNoRole) {
  EXPECT_EQ(refusal({}, server_with({"web"})), std::nullopt);
  EXPECT_EQ(refusal({}, server_with({})), std::nullopt);
}

TEST(Permissions, WhatNeedsARoleIsRefusedWithoutIt) {
  EXPECT_EQ(refusal({.roles = kAppOnly}, server_with({"app", "web"})), std::nullopt);
  EXPECT_EQ(refusal({.roles = kAppOnly}, server_with({"web"})), Reason::kWrongRole);
  EXPECT_EQ(refusal({.roles = kAppOnly}, server_with({})), Reason::kWrongRole);
}

TEST(Permissions, WhoHasNoCertificateMayAskOnlyWhatIsForStrangers) {
  EXPECT_EQ(refusal({.strangers = true}, Asker{}), std::nullopt);
  EXPECT_EQ(refusal({}, Asker{}), Reason::kNoCertificate);
  EXPECT_EQ(refusal({.roles = kAppOnly}, Asker{}), Reason::kNoCertificate);
}

}  // namespace
}  // namespace terrace::cluster

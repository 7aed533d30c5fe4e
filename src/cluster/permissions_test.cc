#include "cluster/permissions.h"

#include <gtest/gtest.h>

namespace terrace::cluster {
namespace {

using certificates::Reason;

constexpr std::string_view kAppOnly[] = {"app"};

Asker server_with(std::vector<std::string> roles) {
  return {.identity = certificates::Identity{.site = "s", .server = "web1", .roles = std::move(roles)}};
}

const Listed kBoth = std::vector<std::string>{"app", "web"};
const Listed kWebOnly = std::vector<std::string>{"web"};

TEST(Permissions, EveryMemberMayAskWhatNeedsNoRole) {
  EXPECT_EQ(refusal({}, server_with({"web"}), kBoth), std::nullopt);
  EXPECT_EQ(refusal({}, server_with({}), kBoth), std::nullopt);
}

TEST(Permissions, WhatNeedsARoleIsRefusedWithoutIt) {
  EXPECT_EQ(refusal({.roles = kAppOnly}, server_with({"app", "web"}), kBoth), std::nullopt);
  EXPECT_EQ(refusal({.roles = kAppOnly}, server_with({"web"}), kBoth), Reason::kWrongRole);
  EXPECT_EQ(refusal({.roles = kAppOnly}, server_with({}), kBoth), Reason::kWrongRole);
}

TEST(Permissions, WhoHasNoCertificateMayAskOnlyWhatIsForStrangers) {
  EXPECT_EQ(refusal({.strangers = true}, Asker{}, std::nullopt), std::nullopt);
  EXPECT_EQ(refusal({}, Asker{}, std::nullopt), Reason::kNoCertificate);
  EXPECT_EQ(refusal({.unlisted = true}, Asker{}, std::nullopt), Reason::kNoCertificate);
  EXPECT_EQ(refusal({.roles = kAppOnly}, Asker{}, kBoth), Reason::kNoCertificate);
}

TEST(Permissions, WhoIsNotInTheSiteFileMayAskOnlyWhatIsForTheUnlisted) {
  const Asker former = server_with({"app", "web"});
  EXPECT_EQ(refusal({}, former, std::nullopt), Reason::kNotListed);
  EXPECT_EQ(refusal({.roles = kAppOnly}, former, std::nullopt), Reason::kNotListed);
  EXPECT_EQ(refusal({.unlisted = true}, former, std::nullopt), std::nullopt);
}

TEST(Permissions, ARoleThatTheSiteFileDoesNotGiveAnyMoreDoesNotCount) {
  EXPECT_EQ(refusal({.roles = kAppOnly}, server_with({"app", "web"}), kWebOnly), Reason::kRoleNotListed);
  EXPECT_EQ(refusal({}, server_with({"app", "web"}), kWebOnly), std::nullopt);
  // Nor one that the file gives and the certificate does not say.
  EXPECT_EQ(refusal({.roles = kAppOnly}, server_with({"web"}), kBoth), Reason::kWrongRole);
}

TEST(Permissions, ACertificateSaysTooMuchWhenTheFileGivesLess) {
  const certificates::Identity both = *server_with({"app", "web"}).identity;
  EXPECT_FALSE(says_too_much(both, kBoth));
  EXPECT_TRUE(says_too_much(both, kWebOnly));
  EXPECT_TRUE(says_too_much(both, std::nullopt));
  EXPECT_FALSE(says_too_much(*server_with({"web"}).identity, kBoth));
}

}  // namespace
}  // namespace terrace::cluster

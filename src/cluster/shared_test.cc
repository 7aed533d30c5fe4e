#include "cluster/shared.h"

#include <gtest/gtest.h>

namespace terrace::cluster {
namespace {

TEST(Shared, ValuesComeBackAsTheyWere) {
  const SiteVersion version{.version = 12,
                            .text = "[site]\nname = \"shop\"\n",
                            .by = "anna",
                            .server = "web1",
                            .at = 1'700'000'000,
                            .id = "x1",
                            .changed = {"web3 joins the site"}};
  EXPECT_EQ(parse_site_version(to_json(version)), version);
  const SharedRelease release{.last = 9, .served = {7, 8}, .holders = {"web1", "web2"}};
  EXPECT_EQ(parse_shared_release(to_json(release)), release);
  const DeployNote deploy{.release = 9,
                          .rollback = false,
                          .phase = "build",
                          .by = "anna",
                          .server = "web2",
                          .since = 1'700'000'000,
                          .id = "x2",
                          .beat = 3};
  EXPECT_EQ(parse_deploy_note(to_json(deploy)), deploy);
}

TEST(Shared, TheVersionThatASiteWasFoundedWithIsOne) {
  const Result<SiteVersion> version =
      parse_site_version(R"({"version":1,"text":"[site]","by":"founding","at":1700000000})");
  ASSERT_TRUE(version);
  EXPECT_EQ(version->text, "[site]");
  EXPECT_FALSE(parse_site_version(R"({"version":1,"text":"[site]","by":"","at":1,"id":7})"));
}

TEST(Shared, MembersOfALaterVersionAreIgnored) {
  EXPECT_TRUE(parse_shared_release(R"({"last":1,"served":[1],"holders":[],"later":true})"));
}

TEST(Shared, WhatIsMissingOrOfAnotherTypeIsRefused) {
  for (const char* text :
       {"", "[]", "{}", R"({"last":1,"served":[1]})", R"({"last":-1,"served":[1],"holders":[]})",
        R"({"last":1,"served":["1"],"holders":[]})", R"({"last":4294967296,"served":[1],"holders":[]})",
        R"({"last":1,"served":[1],"holders":[1]})"})
    EXPECT_FALSE(parse_shared_release(text)) << text;
}

TEST(Shared, ARollbackGoesToTheReleaseBeforeAndOnlySomeAreRemembered) {
  SharedRelease release;
  EXPECT_EQ(release.current(), 0U);
  for (uint32_t number = 1; number <= 20; ++number) release.serve(number);
  EXPECT_EQ(release.served.size(), kServedKept);
  EXPECT_EQ(release.previous(), 19U);
  release.serve(19);
  EXPECT_EQ(release.current(), 19U);
  EXPECT_EQ(release.previous(), 18U);
  EXPECT_EQ(parse_shared_release(to_json(release)), release);
}

TEST(Shared, ASiteFileThatIsTooLongIsRefused) {
  const SiteVersion version{.version = 1, .text = std::string(kSharedSiteBytesMax + 1, '#')};
  EXPECT_FALSE(parse_site_version(to_json(version)));
}

TEST(Shared, AllThatIsKeptFitsIntoTheState) {
  // Base64 and JSON are the back ends' matter; this is what counts against the limit.
  EXPECT_LT((kHistoryKept + 1) * kSharedSiteBytesMax, (8U << 20) - (1U << 20));
}

}  // namespace
}  // namespace terrace::cluster

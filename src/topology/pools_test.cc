#include "topology/pools.h"

#include <gtest/gtest.h>

#include "topology/load.h"

namespace terrace::topology {
namespace {

constexpr const char* kServers =
    "[web]\nfiles = \"public\"\n[servers]\n"
    "lb1 = { address = \"10.0.0.1\", roles = [\"lb\"] }\n"
    "web1 = { address = \"10.0.0.2\", weight = 3 }\nweb2 = { address = \"2001:db8::3\" }\n";

std::vector<Pool> pools(const std::string& text) {
  LoadOptions options;
  options.look_at_folders = false;
  const LoadedSite loaded = load_site_text(kServers + text, "/srv/shop/site.toml", options);
  EXPECT_TRUE(loaded.site) << loaded.text;
  return pools_of(*loaded.site);
}

std::string names(const Pool& pool) {
  std::string names;
  for (const PoolMember& member : pool.members) names += (names.empty() ? "" : " ") + member.name;
  return names;
}

TEST(Pools, WithoutAnySaidAllWebServersAreInOne) {
  const std::vector<Pool> all = pools("");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(names(all[0]), "web1 web2");
  EXPECT_EQ(all[0].members[0].address, "10.0.0.2:7402");
  EXPECT_EQ(all[0].members[1].address, "[2001:db8::3]:7402");
  EXPECT_EQ(all[0].members[0].weight, 3);
  EXPECT_TRUE(all[0].members[0].own);
}

TEST(Pools, WhoIsInAPoolIsNotInTheRest) {
  const std::vector<Pool> all = pools(
      "[lb.backends]\nold = { address = \"10.0.0.9:80\", proxy = true }\n[lb.pools]\n"
      "api = { servers = [\"old\", \"web2\"], paths = [\"/api/*\"], balance = \"ip-hash\" }\n"
      "too = { servers = [\"web2\"], paths = [\"/too/*\"] }\n");
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(names(all[0]), "old web2");
  EXPECT_EQ(all[0].settings.balance, Balance::kIpHash);
  EXPECT_TRUE(all[0].members[0].proxy);
  EXPECT_FALSE(all[0].members[0].own);
  EXPECT_EQ(names(all[1]), "web2");
  EXPECT_EQ(names(all[2]), "web1");
  EXPECT_EQ(all[2].settings.balance, Balance::kRoundRobin);
}

}  // namespace
}  // namespace terrace::topology

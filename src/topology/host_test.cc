#include "topology/host.h"

#include <gtest/gtest.h>

namespace terrace::topology {
namespace {

TEST(Host, IsTheDomainWithOrWithoutWww) {
  Site site;
  site.site.domain = "shop.example";
  EXPECT_TRUE(is_name_of(site, "shop.example"));
  EXPECT_TRUE(is_name_of(site, "WWW.Shop.Example"));
  for (const char* other : {"", "www.", "evil.example", "shop.example.evil.example", "www.www.shop.example",
                            "xshop.example", "127.0.0.1", "localhost"}) {
    EXPECT_FALSE(is_name_of(site, other)) << other;
  }
}

TEST(Host, IsAnyNameForASiteWithoutADomain) { EXPECT_TRUE(is_name_of(Site(), "whatever")); }

}  // namespace
}  // namespace terrace::topology

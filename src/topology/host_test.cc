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

TEST(Host, FitsANameOrAnyOneFirstPart) {
  EXPECT_TRUE(host_fits("api.example.com", "API.example.com"));
  EXPECT_FALSE(host_fits("api.example.com", "v1.api.example.com"));
  EXPECT_TRUE(host_fits("*.example.com", "api.Example.com"));
  EXPECT_FALSE(host_fits("*.example.com", "example.com"));
  EXPECT_FALSE(host_fits("*.example.com", ".example.com"));
  EXPECT_FALSE(host_fits("*.example.com", "a.b.example.com"));
}

TEST(Host, OfAPoolIsTheSitesToo) {
  Site site;
  site.site.domain = "shop.example.com";
  site.lb_pools = {{.name = "api", .hosts = {"api.example.com"}}};
  EXPECT_TRUE(is_name_of(site, "api.example.com"));
  EXPECT_TRUE(is_name_of(site, "www.shop.example.com"));
  EXPECT_FALSE(is_name_of(site, "example.com"));
}

}  // namespace
}  // namespace terrace::topology

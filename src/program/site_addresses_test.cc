#include "program/site_addresses.h"

#include <gtest/gtest.h>

namespace terrace::program {
namespace {

using topology::Role;

topology::Site site_of(std::vector<topology::Server> servers) {
  topology::Site site;
  site.web.listen = {"0.0.0.0:80", "[::]:80"};
  site.servers = std::move(servers);
  return site;
}

topology::Server server(std::string name, std::string address, std::vector<Role> roles) {
  return {.name = std::move(name), .address = std::move(address), .roles = std::move(roles)};
}

// "web 0.0.0.0:80, admin 127.0.0.1:9180"
std::string text_of(const topology::Site& site, size_t own) {
  std::string text;
  for (const SiteAddress& each : addresses_of(site, own < site.servers.size() ? &site.servers[own] : nullptr))
    text += (text.empty() ? "" : ", ") + std::string(word_of(each.purpose)) + " " + each.address;
  return text;
}

TEST(SiteAddressesTest, AServerAloneTakesVisitors) {
  EXPECT_EQ(text_of(site_of({}), 0), "web 0.0.0.0:80, web [::]:80, admin 127.0.0.1:9180");
  const topology::Site one = site_of({server("a", "10.0.0.1", {Role::kLb, Role::kWeb})});
  EXPECT_EQ(text_of(one, 0), "web 0.0.0.0:80, web [::]:80, admin 127.0.0.1:9180");
}

TEST(SiteAddressesTest, WithoutALoadBalancerEveryWebServerTakesVisitors) {
  const topology::Site site =
      site_of({server("a", "10.0.0.1", {Role::kWeb}), server("b", "10.0.0.2", {Role::kWeb})});
  for (const size_t own : {0U, 1U})
    EXPECT_EQ(text_of(site, own), "web 0.0.0.0:80, web [::]:80, admin 127.0.0.1:9180");
}

TEST(SiteAddressesTest, BehindALoadBalancerAWebServerOpensTheHopOnly) {
  topology::Site site =
      site_of({server("lb1", "10.0.0.1", {Role::kLb}), server("web1", "10.0.0.2", {Role::kWeb, Role::kApp}),
               server("web2", "2001:db8::2", {Role::kWeb, Role::kApp})});
  EXPECT_EQ(text_of(site, 0), "web 0.0.0.0:80, web [::]:80, admin 127.0.0.1:9180");
  EXPECT_EQ(text_of(site, 1), "hop 10.0.0.2:7402, admin 127.0.0.1:9180");
  site.lb.port = 7500;
  EXPECT_EQ(text_of(site, 2), "hop [2001:db8::2]:7500, admin 127.0.0.1:9180");
}

TEST(SiteAddressesTest, ALoadBalancerThatServesTooOpensBothWhereThereIsAnother) {
  topology::Site site = site_of(
      {server("a", "10.0.0.1", {Role::kLb, Role::kWeb}), server("b", "10.0.0.2", {Role::kLb, Role::kWeb})});
  EXPECT_EQ(text_of(site, 0), "web 0.0.0.0:80, web [::]:80, hop 10.0.0.1:7402, admin 127.0.0.1:9180");
  site.servers[1].roles = {Role::kWeb};
  EXPECT_EQ(text_of(site, 0), "web 0.0.0.0:80, web [::]:80, admin 127.0.0.1:9180");
  EXPECT_EQ(text_of(site, 1), "hop 10.0.0.2:7402, admin 127.0.0.1:9180");
}

TEST(SiteAddressesTest, PoolsOfAnyProtocolAreTheLoadBalancers) {
  topology::Site site =
      site_of({server("lb1", "10.0.0.1", {Role::kLb}), server("web1", "10.0.0.2", {Role::kWeb})});
  site.lb_pools = {{.name = "cache", .tcp = {"0.0.0.0:6379", "0.0.0.0:6379"}}};
  EXPECT_EQ(text_of(site, 0), "web 0.0.0.0:80, web [::]:80, tcp 0.0.0.0:6379, admin 127.0.0.1:9180");
  EXPECT_EQ(text_of(site, 1), "hop 10.0.0.2:7402, admin 127.0.0.1:9180");
}

TEST(SiteAddressesTest, AServerThatShallHaveNoVisitorsGivesUpAllButTheAdminAddress) {
  EXPECT_TRUE(takes_visitors(Purpose::kWeb) && takes_visitors(Purpose::kHop) &&
              takes_visitors(Purpose::kTcp));
  EXPECT_FALSE(takes_visitors(Purpose::kAdmin));
}

}  // namespace
}  // namespace terrace::program

#include "lab/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace terrace::lab {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using topology::Role;

topology::Site two_servers() {
  topology::Site site;
  site.site.name = "shop";
  site.site.domain = "shop.example.com";
  site.web.listen = {"0.0.0.0:80"};
  site.servers = {{.name = "web1", .address = "10.0.0.11", .roles = {Role::kWeb, Role::kApp}},
                  {.name = "app1", .address = "10.0.1.21", .roles = {Role::kApp}}};
  return site;
}

TEST(Plan, HasTheServersThenTheMachinesThenTheOutsideAndTheSwitch) {
  LabFile file;
  file.machines = {{.name = "db1", .address = "10.0.0.31"},
                   {.name = "web3", .address = "10.0.0.13", .terrace = true}};
  const auto plan = make_plan(two_servers(), file);
  ASSERT_TRUE(plan) << plan.error();
  std::vector<std::string> names;
  for (const PlannedMachine& machine : plan->machines) names.push_back(machine.name);
  EXPECT_THAT(names, ::testing::ElementsAre("web1", "app1", "db1", "web3", "outside", "switch"));
  EXPECT_EQ(plan->find("db1")->kind, MachineKind::kOther);
  EXPECT_EQ(plan->find("web3")->kind, MachineKind::kSpare);
  EXPECT_EQ(plan->find("nobody"), nullptr);
}

TEST(Plan, VisitorsAskWebServersAndWhereThereAreSomeLoadBalancers) {
  topology::Site site = two_servers();
  EXPECT_TRUE(make_plan(site, {})->find("web1")->entry);
  EXPECT_FALSE(make_plan(site, {})->find("app1")->entry);
  site.servers.push_back({.name = "lb1", .address = "10.0.0.10", .roles = {Role::kLb}});
  EXPECT_FALSE(make_plan(site, {})->find("web1")->entry);
  EXPECT_TRUE(make_plan(site, {})->find("lb1")->entry);
}

TEST(Plan, WhatIsDeployedGoesToAllButLoadBalancers) {
  topology::Site site = two_servers();
  site.servers.insert(site.servers.begin(), {.name = "lb1", .address = "10.0.0.10", .roles = {Role::kLb}});
  const auto plan = make_plan(site, {});
  EXPECT_FALSE(plan->find("lb1")->releases);
  EXPECT_TRUE(plan->find("web1")->releases);
  EXPECT_TRUE(plan->find("app1")->releases);
}

TEST(Plan, EveryMachineKnowsTheOthersAndTheDomain) {
  const std::string hosts = hosts_text(*make_plan(two_servers(), {}));
  EXPECT_THAT(hosts, HasSubstr("\n10.0.0.11 web1\n10.0.1.21 app1\n198.18.0.1 outside\n"));
  EXPECT_THAT(hosts, HasSubstr("\n10.0.0.11 shop.example.com www.shop.example.com\n"));
  EXPECT_THAT(hosts, Not(HasSubstr("10.0.1.21 shop")));
}

TEST(Plan, NetworksOfTheSiteAreOnOneCable) {
  const Plan plan = *make_plan(two_servers(), {});
  EXPECT_EQ(machine_commands(plan, *plan.find("web1")),
            "link set lo up\nlink set eth0 up\n"
            "addr add 10.0.0.11/24 brd + dev eth0\n"
            "route add 10.0.1.0/24 dev eth0\n"
            "route add default via 10.0.0.254 dev eth0\n");
}

TEST(Plan, TheOutsideIsTheGatewayAndHasAddressesForVisitors) {
  topology::Site site = two_servers();
  site.servers[0].address = "10.0.0.254";
  const Plan plan = *make_plan(site, {});
  const std::string commands = machine_commands(plan, *plan.find("outside"));
  EXPECT_THAT(commands, HasSubstr("addr add 10.0.0.253/24 dev eth0 noprefixroute\n"
                                  "route add 10.0.0.0/24 dev eth0 src 198.18.0.1\n"));
  EXPECT_EQ(std::ranges::count(commands, '\n'), 2 + kClientAddresses + 4);
}

TEST(Plan, VisitorsHaveAddressesOfNoServer) {
  topology::Site site = two_servers();
  site.servers[0].address = "198.18.0.7";
  EXPECT_EQ(print(make_plan(site, {})->clients), "192.0.2.1");
}

TEST(Plan, ACutIsARuleForEachWay) {
  const Plan plan = *make_plan(two_servers(), {});
  EXPECT_THAT(cut_rules(plan, {}), Not(HasSubstr("drop")));
  const std::string rules = cut_rules(plan, {{"web1", "app1"}, {"outside", "web1"}});
  EXPECT_THAT(rules, HasSubstr("iifname \"p1\" oifname \"p2\" drop\n"));
  EXPECT_THAT(rules, HasSubstr("iifname \"p3\" oifname \"p1\" drop\n"));
  EXPECT_THAT(rules, Not(HasSubstr("iifname \"p2\"")));
}

TEST(Plan, WhatCannotStandInALabIsRefused) {
  const auto refused = [](const topology::Site& site, const LabFile& file = {}) {
    const auto plan = make_plan(site, file);
    return plan ? std::string("it is planned") : plan.error();
  };
  topology::Site site = two_servers();
  EXPECT_THAT(refused({}), HasSubstr("names no servers"));
  site.servers[1].address = "10.0.0.11";
  EXPECT_THAT(refused(site), HasSubstr("two machines of this lab have the address 10.0.0.11"));
  site.servers[1].address = "2001:db8::1";
  EXPECT_THAT(refused(site), HasSubstr("IPv4"));
  site.servers[1].address = "127.0.0.2";
  EXPECT_THAT(refused(site), HasSubstr("could reach it"));
  site = two_servers();
  site.servers[1].name = "outside";
  EXPECT_THAT(refused(site), HasSubstr("`outside` is two machines"));
  LabFile file;
  file.machines.resize(kMachinesMax);
  EXPECT_THAT(refused(two_servers(), file), HasSubstr("at most"));
}

}  // namespace
}  // namespace terrace::lab

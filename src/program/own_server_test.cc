#include "program/own_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace terrace::program {
namespace {

using ::testing::HasSubstr;

topology::Site site_of(std::vector<topology::Server> servers) {
  topology::Site site;
  site.servers = std::move(servers);
  return site;
}

const topology::Site kTwo = site_of({{"web1", "10.0.0.15", {}}, {"web2", "2001:db8::16", {}}});

std::vector<net::Ip> addresses_of(std::initializer_list<const char*> texts) {
  std::vector<net::Ip> addresses;
  for (const char* text : texts) addresses.push_back(*net::Ip::parse(text));
  return addresses;
}

TEST(OwnServer, IsNobodyWithoutServers) {
  EXPECT_EQ(own_server(topology::Site(), "", addresses_of({"10.0.0.15"})), "");
}

// Behind a provider's translation it does not have the address that the world sees.
TEST(OwnServer, IsTheOnlyEntryWhateverItsAddress) {
  EXPECT_EQ(own_server(site_of({{"main", "203.0.113.7", {}}}), "", {}), "main");
}

TEST(OwnServer, IsTheEntryWithAnAddressOfThisMachine) {
  EXPECT_EQ(own_server(kTwo, "", addresses_of({"192.0.2.1", "2001:db8:0::16"})), "web2");
}

TEST(OwnServer, IsTheOneThatWasNamedWhateverItsAddress) {
  EXPECT_EQ(own_server(kTwo, "web1", addresses_of({"2001:db8::16"})), "web1");
}

TEST(OwnServer, IsNotGuessedWhenNoAddressFits) {
  const auto none = own_server(kTwo, "", addresses_of({"192.0.2.1"}));
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error(), HasSubstr("web1 (10.0.0.15), web2 (2001:db8::16)"));
  EXPECT_THAT(none.error(), HasSubstr("this machine: 192.0.2.1"));
  EXPECT_THAT(none.error(), HasSubstr("--server web1"));
  EXPECT_THAT(none.error(), HasSubstr("terrace lab up"));
}

TEST(OwnServer, IsNotGuessedWhenSeveralAddressesFit) {
  const auto both = own_server(kTwo, "", addresses_of({"10.0.0.15", "2001:db8::16"}));
  ASSERT_FALSE(both);
  EXPECT_THAT(both.error(), HasSubstr("several entries"));
}

TEST(OwnServer, ANameThatIsNoEntryIsAnError) {
  const auto unknown = own_server(kTwo, "web3", {});
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error(), HasSubstr("`web3`"));
}

TEST(OwnServer, AServerWithTheRoleLbAloneOnlyBalances) {
  using topology::Role;
  const topology::Site site =
      site_of({{"lb1", "10.0.0.1", {Role::kLb}}, {"both", "10.0.0.2", {Role::kLb, Role::kWeb, Role::kApp}}});
  EXPECT_TRUE(only_balances(site, "lb1"));
  EXPECT_FALSE(only_balances(site, "both"));
  EXPECT_FALSE(only_balances(site, "nobody"));
}

}  // namespace
}  // namespace terrace::program

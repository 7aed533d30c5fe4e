#include "net/address.h"

#include <gtest/gtest.h>

namespace terrace::net {
namespace {

std::string round_trip(std::string_view text) {
  const Result<Address> address = Address::parse(text);
  return address ? address->print() : "refused";
}

TEST(Address, IsPrintedAsItWasWritten) {
  EXPECT_EQ(round_trip("127.0.0.1:80"), "127.0.0.1:80");
  EXPECT_EQ(round_trip("[::1]:8080"), "[::1]:8080");
  EXPECT_EQ(round_trip("unix:/run/app.sock"), "unix:/run/app.sock");
}

TEST(Address, ThatIsNoneIsRefused) {
  for (const char* text : {"", "80", "localhost:80", "1.2.3:80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536",
                           "1.2.3.4:+1", "::1:80", "[1.2.3.4]:80", "unix:"}) {
    EXPECT_EQ(round_trip(text), "refused") << text;
  }
  EXPECT_EQ(round_trip("unix:" + std::string(108, 'x')), "refused");
}

TEST(Network, ContainsTheAddressesOfItsPrefix) {
  const Network ten = Network::parse("10.0.0.0/8").value();
  EXPECT_TRUE(ten.contains(Ip::parse("10.255.1.2").value()));
  EXPECT_FALSE(ten.contains(Ip::parse("11.0.0.1").value()));
  const Network odd = Network::parse("192.168.4.0/22").value();
  EXPECT_TRUE(odd.contains(Ip::parse("192.168.7.255").value()));
  EXPECT_FALSE(odd.contains(Ip::parse("192.168.8.0").value()));
  EXPECT_TRUE(Network::parse("2001:db8::/32").value().contains(Ip::parse("2001:db8:1::1").value()));
  EXPECT_TRUE(Network::parse("0.0.0.0/0").value().contains(Ip::parse("1.2.3.4").value()));
}

TEST(Network, WithABadPrefixIsRefused) {
  for (const char* text : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129", "x/8"}) {
    EXPECT_FALSE(Network::parse(text)) << text;
  }
}

}  // namespace
}  // namespace terrace::net

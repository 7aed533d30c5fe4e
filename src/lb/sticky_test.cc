#include "lb/sticky.h"

#include <gtest/gtest.h>

namespace terrace::lb {
namespace {

const std::string kSecret(32, 's');

std::string value_in(const std::string& field) {
  const size_t begin = field.find('=') + 1;
  return field.substr(begin, field.find(';') - begin);
}

TEST(StickyCookies, LeadBackToTheirBackendOnEveryLoadBalancer) {
  const StickyCookies one(kSecret, {"web1", "web2", "web3"});
  const StickyCookies other(kSecret, {"web3", "web1"});
  const std::string value = value_in(one.set_cookie(2, false));
  EXPECT_EQ(one.find(value), 2);
  EXPECT_EQ(other.find(value), 0);
}

TEST(StickyCookies, OfNobodyThatIsThereLeadNowhere) {
  const StickyCookies cookies(kSecret, {"web1", "web2"});
  const StickyCookies another_site(std::string(32, 't'), {"web1"});
  EXPECT_FALSE(cookies.find(value_in(StickyCookies(kSecret, {"web9"}).set_cookie(0, false))));
  EXPECT_FALSE(cookies.find(value_in(another_site.set_cookie(0, false))));
  EXPECT_FALSE(cookies.find("web1"));
  EXPECT_FALSE(cookies.find(""));
}

TEST(StickyCookies, AreOutOfReachOfScriptsAndOtherSites) {
  const StickyCookies cookies(kSecret, {"web1"});
  EXPECT_TRUE(cookies.set_cookie(0, false).ends_with("; Path=/; HttpOnly; SameSite=Lax"));
  EXPECT_TRUE(cookies.set_cookie(0, true).ends_with("; Secure"));
  EXPECT_EQ(cookies.set_cookie(0, false).find("web1"), std::string::npos);
}

}  // namespace
}  // namespace terrace::lb

// One redirect at most, whatever is wrong with an address.

#include "web/site_fixture.h"

namespace terrace::web {
namespace {

class RedirectTest : public SiteFixture {
 protected:
  RedirectTest() {
    site_->site.domain = "shop.example";
    write("/docs/index.html", "docs");
    write("/a.txt", "x");
  }
  std::string location(const std::string& authority, const std::string& target) {
    if (server_ == nullptr) start();
    const Exchange exchange = make(target);
    exchange->set_authority(authority);
    EXPECT_EQ(serve(*exchange), Served::kAnswered);
    return exchange->status() == 308 ? exchange->value("Location") : std::to_string(exchange->status());
  }
};

TEST_F(RedirectTest, WwwLeadsToTheBareDomain) {
  EXPECT_EQ(location("www.shop.example", "/a.txt?x=1"), "http://shop.example/a.txt?x=1");
  EXPECT_EQ(location("WWW.Shop.Example:8080", "/a%20b"), "http://shop.example:8080/a%20b");
  EXPECT_EQ(location("shop.example", "/a.txt"), "200");
}

TEST_F(RedirectTest, TheBareDomainLeadsToWww) {
  site_->site.www = topology::Www::kToWww;
  EXPECT_EQ(location("shop.example", "/a.txt"), "http://www.shop.example/a.txt");
  EXPECT_EQ(location("www.shop.example", "/a.txt"), "200");
}

TEST_F(RedirectTest, OtherHostsAreLeftAlone) {
  EXPECT_EQ(location("10.0.0.1", "/a.txt"), "200");
  EXPECT_EQ(location("www.shop.example.evil.example", "/a.txt"), "200");
  EXPECT_EQ(location("", "/a.txt"), "200");
}

TEST_F(RedirectTest, TurnedOffNothingMoves) {
  site_->site.www = topology::Www::kOff;
  EXPECT_EQ(location("www.shop.example", "/a.txt"), "200");
}

TEST_F(RedirectTest, HostPathAndSlashAreOneRedirect) {
  site_->web.redirects = {{"/manual", "/docs"}};
  EXPECT_EQ(location("www.shop.example", "/docs"), "http://shop.example/docs/");
  EXPECT_EQ(location("www.shop.example", "/manual?x=1"), "http://shop.example/docs/?x=1");
  EXPECT_EQ(location("shop.example", "/manual"), "/docs/");
}

TEST_F(RedirectTest, AUrlIsGoneToDirectly) {
  site_->web.redirects = {{"/blog/*", "https://blog.example/*"}};
  EXPECT_EQ(location("www.shop.example", "/blog/1"), "https://blog.example/1");
}

TEST_F(RedirectTest, NoHostCanBeSmuggledIn) {
  EXPECT_EQ(location("www.shop.example", "//evil.example/a"), "http://shop.example/evil.example/a");
  EXPECT_EQ(location("www.shop.example", "/%0d%0aSet-Cookie:x"), "400");
}

TEST_F(RedirectTest, ATrustedProxySaysThatTheClientUsesHttps) {
  site_->web.trusted = {"10.0.0.0/8"};
  start();
  const auto ask = [&](const char* from) {
    const Exchange exchange = make("/");
    exchange->set_authority("www.shop.example");
    exchange->set_peer({.ip = net::Ip::parse(from).value()});
    exchange->add("X-Forwarded-Proto", "https");
    serve(*exchange);
    return exchange->value("Location");
  };
  EXPECT_EQ(ask("10.1.2.3"), "https://shop.example/");
  EXPECT_EQ(ask("192.0.2.1"), "http://shop.example/");
}

}  // namespace
}  // namespace terrace::web

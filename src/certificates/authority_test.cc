#include "certificates/authority.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "certificates/verifier.h"

namespace terrace::certificates {
namespace {

using namespace std::chrono_literals;

class AuthorityTest : public testing::Test {
 protected:
  Request request() { return Request::parse(key_.request_pem().value()).value(); }

  VirtualClock clock_;
  Authority authority_ = Authority::make("site-1", clock_.wall()).value();
  PrivateKey key_ = PrivateKey::make().value();
};

TEST_F(AuthorityTest, ACertificateNamesWhatTheIssuerSaid) {
  const Subject subject{
      .server = "web2", .roles = {"web", "app"}, .addresses = {net::Ip::parse("10.0.0.2").value()}};
  const Result<std::string> pem = authority_.sign(request(), subject, clock_.wall(), kLifeDefault);
  ASSERT_TRUE(pem) << describe(pem.error());
  const Result<Identity> identity = read_identity_pem(*pem);
  ASSERT_TRUE(identity) << describe(identity.error());
  EXPECT_EQ(identity->site, "site-1");
  EXPECT_EQ(identity->server, "web2");
  EXPECT_EQ(identity->roles, (std::vector<std::string>{"app", "web"}));
  EXPECT_EQ(identity->serial.size(), 32u);
  EXPECT_EQ(identity->issued, clock_.wall());
  EXPECT_EQ(identity->expires, clock_.wall() + 72h);
}

TEST_F(AuthorityTest, ACertificateHoldsForItsAddressesAndNoOther) {
  const auto address = [](const char* text) { return net::Ip::parse(text).value(); };
  const Subject subject{.server = "web2", .addresses = {address("10.0.0.2"), address("fd00::2")}};
  const std::string pem = authority_.sign(request(), subject, clock_.wall(), kLifeDefault).value();
  const std::string der = der_of(parse_pem(pem, 2).value()[0].get());
  EXPECT_TRUE(names_address(der, address("10.0.0.2")));
  EXPECT_TRUE(names_address(der, address("fd00::2")));
  EXPECT_FALSE(names_address(der, address("10.0.0.3")));
  EXPECT_FALSE(names_address(der, address("fd00::3")));
  EXPECT_FALSE(names_address("nothing", address("10.0.0.2")));
}

TEST_F(AuthorityTest, AnAuthorityIsLoadedFromWhatItWrote) {
  const Result<Authority> again = Authority::load(authority_.certificate_pem(), authority_.key_pem().value());
  ASSERT_TRUE(again) << describe(again.error());
  EXPECT_EQ(again->fingerprint(), authority_.fingerprint());
  EXPECT_EQ(again->site(), "site-1");
  const Authority other = Authority::make("site-1", clock_.wall()).value();
  EXPECT_FALSE(Authority::load(authority_.certificate_pem(), other.key_pem().value()));
}

TEST_F(AuthorityTest, ACertificateOfTheSiteIsLetIn) {
  const std::string pem =
      authority_.sign(request(), {.server = "web2", .roles = {"web"}}, clock_.wall(), kLifeDefault).value();
  const std::vector<CertificateHandle> all = parse_pem(pem, 2).value();
  const std::string own = der_of(all[0].get());
  const std::string issuer = der_of(all[1].get());
  const std::string_view shown[] = {own, issuer};
  const Bundle bundle = Bundle::parse(authority_.certificate_pem()).value();
  const auto verifier = Verifier::of_site(bundle, {}, clock_).value();
  for (const bool is_server : {true, false}) {
    const auto checked =
        verifier->check({.certificates_der = shown, .expected_name = "web2", .is_server = is_server});
    ASSERT_TRUE(checked) << text_of(checked.error());
    EXPECT_EQ(checked->server, "web2");
  }
  const auto pinned = Verifier::pinned(authority_.fingerprint(), clock_);
  EXPECT_TRUE(pinned->check({.certificates_der = shown, .is_server = true}));
}

TEST_F(AuthorityTest, WhatCannotStandInACertificateIsRefused) {
  const std::string long_name(64, 'a');
  for (const std::string& name :
       {std::string(), std::string("web 2"), std::string("web2,DNS:web1"), long_name}) {
    EXPECT_FALSE(authority_.sign(request(), {.server = name}, clock_.wall(), kLifeDefault)) << name;
    EXPECT_FALSE(
        authority_.sign(request(), {.server = "web2", .roles = {name}}, clock_.wall(), kLifeDefault));
    EXPECT_FALSE(
        authority_.sign(request(), {.server = "web2", .names = {name}}, clock_.wall(), kLifeDefault));
    EXPECT_FALSE(Authority::make(name, clock_.wall()));
  }
  const std::vector<std::string> many(kRolesMax + 1, "web");
  EXPECT_FALSE(authority_.sign(request(), {.server = "web2", .roles = many}, clock_.wall(), kLifeDefault));
}

TEST_F(AuthorityTest, ARequestIsTakenOnlyAsOursAreMade) {
  const std::string good = key_.request_pem().value();
  EXPECT_TRUE(Request::parse(good));
  EXPECT_FALSE(Request::parse(good + good));
  EXPECT_FALSE(Request::parse(good + "x"));
  EXPECT_FALSE(Request::parse("x" + good));
  EXPECT_FALSE(Request::parse(std::string(Request::kBytesMax, 'x')));
  for (size_t size = 0; size + 1 < good.size(); ++size)
    EXPECT_FALSE(Request::parse(good.substr(0, size))) << size;
  // Of P-384; with a name; with a wish for another use.
  for (const char* file : {"p384.pem", "named.pem", "extension.pem"}) {
    const std::string path = std::string(TERRACE_SOURCE_DIR "/src/certificates/corpus/certificate/") + file;
    EXPECT_FALSE(Request::parse(read_file(path, 4096).value())) << file;
  }
}

TEST_F(AuthorityTest, ARequestThatWasChangedOnTheWayIsRefused) {
  const std::string good = key_.request_pem().value();
  int taken = 0;
  for (size_t i = 40; i + 40 < good.size(); ++i) {
    std::string changed = good;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    if (changed != good && Request::parse(changed)) ++taken;
  }
  EXPECT_EQ(taken, 0);
}

}  // namespace
}  // namespace terrace::certificates

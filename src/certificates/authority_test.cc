#include "certificates/authority.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace terrace::certificates

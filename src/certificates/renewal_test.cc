#include "certificates/renewal.h"

#include <gtest/gtest.h>

#include "certificates/handshake_fixture.h"
#include "certificates/revocation_list.h"

namespace terrace::certificates {
namespace {

using namespace std::chrono_literals;

// A clock that is wrong by a constant.
class WrongClock final : public Clock {
 public:
  WrongClock(const Clock& right, Duration ahead) : right_(right), ahead_(ahead) {}
  Time now() const override { return right_.now(); }
  WallTime wall() const override {
    return right_.wall() + std::chrono::duration_cast<WallTime::duration>(ahead_);
  }

 private:
  const Clock& right_;
  Duration ahead_;
};

class RenewalTest : public testing::Test {
 protected:
  Identity issue(WallTime now, Duration life = kLifeDefault) {
    pem_ = holder_of(authority_, {.server = "web1"}, now, life).certificates_pem;
    return read_identity_pem(pem_).value();
  }
  bool is_good(const Clock& clock) {
    const std::vector<CertificateHandle> all = parse_pem(pem_, 2).value();
    const std::string der = der_of(all.front().get());
    const std::string_view shown[] = {der};
    return Verifier::of_site(bundle_, {}, clock).value()->check({.certificates_der = shown}).has_value();
  }

  VirtualClock clock_;
  Random random_{3};
  Authority authority_ = Authority::make("site-1", clock_.wall() - 24h).value();
  Bundle bundle_ = Bundle::parse(authority_.certificate_pem()).value();
  std::string pem_;
};

TEST_F(RenewalTest, ANewCertificateIsRenewedBeforeAThirdOfItsLife) {
  const Identity identity = issue(clock_.wall());
  for (int i = 0; i < 100; ++i) {
    const Duration after = renew_after(identity, random_);
    EXPECT_LE(after, 24h);
    EXPECT_GE(after, 21h);
  }
  EXPECT_NE(renew_after(identity, random_), renew_after(identity, random_));
}

TEST_F(RenewalTest, OneFromTheDiskIsRenewedWhenItsThirdHasPassed) {
  const Identity identity = issue(clock_.wall());
  EXPECT_EQ(renew_after_start(identity, clock_.wall() + 10h), 14h);
  EXPECT_EQ(renew_after_start(identity, clock_.wall() + 30h), 0h);
  EXPECT_EQ(renew_after_start(identity, clock_.wall() - 30h), 24h) << "of a clock that is behind";
}

TEST_F(RenewalTest, AFailedAttemptIsRepeatedOftenEnough) {
  const Identity usual = issue(clock_.wall());
  EXPECT_LE(retry_after(usual, random_), 10min);
  const Identity brief = issue(clock_.wall(), 12s);
  EXPECT_LE(retry_after(brief, random_), 1s);
  EXPECT_GE(retry_after(brief, random_), 900ms);
}

// The servers' clocks are a day apart in any way, and for a day nobody could sign:
// the certificate is good in everybody's eyes until the next one is there.
TEST_F(RenewalTest, AClockThatIsWrongByADayRefusesNobody) {
  for (const Duration issuer_ahead : {-24h, 0h, 24h}) {
    for (const Duration verifier_ahead : {-24h, 0h, 24h}) {
      const WrongClock issuer(clock_, issuer_ahead);
      const WrongClock verifier(clock_, verifier_ahead);
      const Identity identity = issue(issuer.wall());
      Duration next = renew_after(identity, random_);
      if (issuer_ahead >= verifier_ahead) next += 23h;  // nobody can sign
      for (Duration age{}; age < next; age += 1h) {
        EXPECT_TRUE(is_good(verifier))
            << issuer_ahead.count() << " " << verifier_ahead.count() << " " << age.count();
        clock_.advance(1h);
      }
    }
  }
}

// By the wall clock each of its certificates would be due at once.
TEST_F(RenewalTest, AServerWhoseClockIsAheadDoesNotAskWithoutEnd) {
  const WrongClock ahead(clock_, 25h);
  int asked = 0;
  for (Duration passed{}; passed < 240h; ++asked) {
    const Duration wait = renew_after(issue(clock_.wall()), random_);
    passed += wait;
    clock_.advance(wait);
  }
  EXPECT_LE(asked, 12);
  EXPECT_EQ(renew_after_start(issue(clock_.wall()), ahead.wall()), 0h);
}

TEST_F(RenewalTest, TheLifeOfACertificateHasBounds) {
  const Request request = Request::parse(PrivateKey::make()->request_pem().value()).value();
  for (const Duration life : {Duration(0), Duration(-1h), Duration(91 * 24h)}) {
    EXPECT_FALSE(authority_.sign(request, {.server = "web1"}, clock_.wall(), life));
  }
}

TEST_F(RenewalTest, ARevocationIsKeptAsLongAsAnyClockMayNeedIt) {
  Revocations revoked{.serials = {{"00ff", clock_.wall()}}, .servers = {{"web1", clock_.wall()}}};
  revoked.prune(clock_.wall() + 47h);
  EXPECT_EQ(revoked.serials.size(), 1u);
  revoked.prune(clock_.wall() + 49h);
  EXPECT_EQ(revoked.serials.size(), 0u);
  EXPECT_EQ(revoked.servers.size(), 1u);
  revoked.prune(clock_.wall() + 93 * 24h);
  EXPECT_EQ(revoked.servers.size(), 0u);
}

TEST_F(RenewalTest, ARevocationListHoldsTheSerials) {
  const PrivateKey key = PrivateKey::make().value();
  const Request request = Request::parse(key.request_pem().value()).value();
  const std::string own = authority_.sign(request, {.server = "web1"}, clock_.wall(), 1h).value();
  const Revocations revoked{.serials = {{read_identity_pem(own)->serial, clock_.wall()}}};
  const Result<std::string> list = revocation_list(revoked, own, key, clock_.wall());
  ASSERT_TRUE(list) << describe(list.error());
  EXPECT_TRUE(list->starts_with("-----BEGIN X509 CRL-----\n"));
  EXPECT_TRUE(revocation_list({}, own, key, clock_.wall()));
  EXPECT_FALSE(revocation_list({.serials = {{"xyz", clock_.wall()}}}, own, key, clock_.wall()));
}

}  // namespace
}  // namespace terrace::certificates

#include "program/traffic_credentials.h"

#include <gtest/gtest.h>

#include "certificates/handshake_fixture.h"
#include "program/text_descriptor.h"

namespace terrace::program {
namespace {

using namespace std::chrono_literals;
using certificates::Authority;
using certificates::Holder;
using certificates::Use;

class TrafficCredentialsTest : public testing::Test {
 protected:
  TrafficIdentity of(const std::string& server, std::vector<std::string> roles, Use use = Use::kTraffic) {
    Holder holder = certificates::holder_of(
        authority_, {.server = server, .roles = std::move(roles), .use = use}, meeting_.clock.wall());
    return {.certificates_pem = holder.certificates_pem,
            .key_pem = holder.key_pem,
            .trust_pem = authority_.certificate_pem(),
            .revocations = {},
            .server = server,
            .sticky_secret = std::string(64, 'a')};
  }
  // As it goes from the member to the worker.
  Result<HopCredentials> passed(const TrafficIdentity& identity) {
    const Descriptor memory = make_text_descriptor(to_text(identity)).value();
    return read_hop_credentials(memory.get(), meeting_.clock, revoked_);
  }
  bool meet(const HopCredentials& web, const HopCredentials& lb) {
    meeting_.server.stream.close();
    meeting_.client.stream.close();
    meeting_.server.done = meeting_.client.done = false;
    meeting_.connect();
    EXPECT_TRUE(meeting_.meet(web.serving, lb.asking, web.server));
    return meeting_.server.shaken && meeting_.client.shaken;
  }

  certificates::Meeting meeting_;
  certificates::Revocations revoked_;  // as the worker keeps them
  Authority authority_ = Authority::make("site-1", meeting_.clock.wall()).value();
  TrafficIdentity web_ = of("web1", {"app", "web"});
  TrafficIdentity lb_ = of("lb1", {"lb"});
};

TEST_F(TrafficCredentialsTest, WorkersMeetWithWhatTheirMembersTellThem) {
  const Result<HopCredentials> web = passed(web_);
  const Result<HopCredentials> lb = passed(lb_);
  ASSERT_TRUE(web && lb);
  EXPECT_EQ(web->server, "web1");
  EXPECT_EQ(web->sticky_secret, std::string(32, '\xaa'));
  EXPECT_EQ(web->authorities, 1u);
  EXPECT_TRUE(meet(*web, *lb));
  EXPECT_FALSE(meet(*lb, *web)) << "a web server calls nobody, and a load balancer is not called";
}

TEST_F(TrafficCredentialsTest, WithoutASecretOfStickySessionsTheRestHolds) {
  web_.sticky_secret.clear();
  EXPECT_EQ(passed(web_)->sticky_secret, "");
}

TEST_F(TrafficCredentialsTest, WhoIsRevokedIsRefused) {
  const std::string serial = certificates::read_identity_pem(lb_.certificates_pem)->serial;
  web_.revocations.serials[serial] = meeting_.clock.wall() + 1h;
  const Result<HopCredentials> web = passed(web_);
  ASSERT_TRUE(web);
  EXPECT_EQ(web->revoked, 1u);
  EXPECT_FALSE(meet(*web, passed(lb_).value()));
  EXPECT_STREQ(meeting_.server.shaken.error().text, certificates::text_of(certificates::Reason::kRevoked));
}

TEST_F(TrafficCredentialsTest, WhatWasRevokedIsNotGoodAgainUntilItHasEnded) {
  const std::string serial = certificates::read_identity_pem(lb_.certificates_pem)->serial;
  TrafficIdentity later = web_;
  later.revocations.serials[serial] = meeting_.clock.wall() + 1h;
  ASSERT_TRUE(passed(later));
  // By a member that has begun with an older copy.
  const Result<HopCredentials> web = passed(web_);
  EXPECT_EQ(web->revoked, 1u);
  EXPECT_FALSE(meet(*web, passed(lb_).value()));
  meeting_.clock.advance(24h * 30);
  EXPECT_EQ(passed(web_)->revoked, 0u);
}

TEST_F(TrafficCredentialsTest, WhatCannotBeUsedChangesNothing) {
  TrafficIdentity wrong = of("web1", {"web"}, Use::kServer);
  wrong.revocations.serials["01"] = meeting_.clock.wall() + 1h;
  EXPECT_FALSE(passed(wrong));
  EXPECT_TRUE(revoked_.serials.empty());
}

TEST_F(TrafficCredentialsTest, AsManyRevocationsAsASiteMayHaveAreTaken) {
  for (int i = 0; i < 20'000; ++i) {
    const std::string number = std::to_string(i);
    web_.revocations.serials[std::string(32 - number.size(), '0') + number] = meeting_.clock.wall();
  }
  EXPECT_EQ(passed(web_)->revoked, 20'000u);
}

TEST_F(TrafficCredentialsTest, ACertificateForSomethingElseIsRefused) {
  EXPECT_EQ(passed(of("web1", {"web"}, Use::kServer)).error().code, Code::kInvalid);
  TrafficIdentity other = web_;
  other.server = "web2";
  EXPECT_EQ(passed(other).error().code, Code::kInvalid);
  other = web_;
  other.key_pem = lb_.key_pem;
  EXPECT_EQ(passed(other).error().code, Code::kInvalid);
  other = web_;
  other.trust_pem = Authority::make("site-2", meeting_.clock.wall())->certificate_pem();
  EXPECT_EQ(passed(other).error().code, Code::kInvalid);
}

TEST_F(TrafficCredentialsTest, WhatIsNotExactlyTheFormIsRefused) {
  const std::string good = to_text(web_);
  ASSERT_TRUE(read_traffic_identity(good));
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  const std::string wrong[] = {
      "",
      "null",
      "[]",
      good + "x",
      good.substr(0, good.size() / 2),
      changed(R"("key":)", R"("keys":)"),
      changed(R"("server":"web1")", R"("server":"web1","more":1)"),
      changed(R"("server":"web1")", R"("server":"")"),
      changed(R"("server":"web1")", R"("server":"web 1")"),
      changed(R"("server":"web1")", R"("server":7)"),
      changed(R"("revoked":{})", R"("revoked":[])"),
      changed(R"("revoked":{})", R"("revoked":{"a":-1})"),
      changed(R"("revoked":{})", R"("revoked":{"a":"1"})"),
      changed(R"("revoked":{})", R"("revoked":{"a":18446744073709551615})"),
      changed(std::string(64, 'a'), std::string(63, 'a')),
      changed(std::string(64, 'a'), std::string(64, 'g')),
  };
  for (const std::string& text : wrong) {
    const Result<TrafficIdentity> read = read_traffic_identity(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Code::kInvalid) << text;
  }
  EXPECT_EQ(read_traffic_identity(std::string(kTrafficCredentialsBytesMax + 1, ' ')).error().code,
            Code::kLimit);
}

TEST_F(TrafficCredentialsTest, NoErrorHoldsTheKey) {
  TrafficIdentity wrong = web_;
  wrong.server = "web2";
  const std::string text = describe(passed(wrong).error());
  EXPECT_EQ(text.find("PRIVATE"), std::string::npos) << text;
}

}  // namespace
}  // namespace terrace::program

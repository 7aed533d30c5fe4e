#include <gtest/gtest.h>

#include "certificates/forgery.h"

namespace terrace::certificates {
namespace {

using namespace std::chrono_literals;
using Side = net::TlsContext::Side;

// What a server's certificate is good for, and one for traffic.
class UseTest : public testing::Test {
 protected:
  std::shared_ptr<const Verifier> verifier(Wanted wanted) {
    return Verifier::of_site(bundle_, {}, meeting_.clock, std::move(wanted)).value();
  }
  std::shared_ptr<const Verifier> channel() { return verifier({}); }
  std::shared_ptr<const Verifier> hop(const char* role = "") {
    return verifier({.use = Use::kTraffic, .role = role});
  }
  Holder holder(const char* server, std::vector<std::string> roles, Use use) {
    return holder_of(authority_, {.server = server, .roles = std::move(roles), .use = use},
                     meeting_.clock.wall());
  }
  // A certificate that the site's authority would have signed, but for what it says of its use.
  Holder marked(std::vector<std::string> titles) {
    return forge({.titles = std::move(titles),
                  .not_before = meeting_.clock.wall() - 1h,
                  .not_after = meeting_.clock.wall() + 1h,
                  .issuer = {authority_.certificate_pem(), authority_.key_pem().value()}});
  }
  // What the verifier says of it, as the one who comes and as the one who is reached.
  std::expected<Identity, Reason> said(const Verifier& verifier, const Holder& shown) {
    const std::string der = der_of(parse_pem(shown.certificates_pem, 2)->front().get());
    const std::string_view ders[] = {der};
    const auto as_client = verifier.check({.certificates_der = ders});
    const auto as_server = verifier.check({.certificates_der = ders, .is_server = true});
    EXPECT_EQ(as_client.has_value(), as_server.has_value());
    return as_client;
  }
  bool meet(const Holder& server, std::shared_ptr<const Verifier> of_server, const Holder& client,
            std::shared_ptr<const Verifier> of_client) {
    meeting_.server.stream.close();
    meeting_.client.stream.close();
    meeting_.server.done = meeting_.client.done = false;
    meeting_.connect();
    EXPECT_TRUE(meeting_.meet(context_of(Side::kServer, server, std::move(of_server)),
                              context_of(Side::kClient, client, std::move(of_client))));
    return meeting_.server.shaken && meeting_.client.shaken;
  }

  Meeting meeting_;
  Authority authority_ = Authority::make("site-1", meeting_.clock.wall()).value();
  Bundle bundle_ = Bundle::parse(authority_.certificate_pem()).value();
  Holder lb_ = holder("lb1", {"lb"}, Use::kTraffic);
  Holder web_ = holder("web1", {"app", "web"}, Use::kTraffic);
  Holder server_ = holder("web1", {"app", "web"}, Use::kServer);
};

TEST_F(UseTest, ACertificateSaysWhatItIsFor) {
  EXPECT_EQ(read_identity_pem(server_.certificates_pem)->use, Use::kServer);
  const Result<Identity> traffic = read_identity_pem(web_.certificates_pem);
  EXPECT_EQ(traffic->use, Use::kTraffic);
  EXPECT_EQ(traffic->server, "web1");
  EXPECT_EQ(traffic->roles, (std::vector<std::string>{"app", "web"}));
}

TEST_F(UseTest, TheGreatestNumberOfRolesHasRoomForTheUse) {
  std::vector<std::string> roles;
  for (size_t i = 0; i < kRolesMax; ++i) roles.push_back(std::string("role") + static_cast<char>('a' + i));
  const Result<Identity> read = read_identity_pem(holder("web1", roles, Use::kTraffic).certificates_pem);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->roles, roles);
}

TEST_F(UseTest, WorkersOfALoadBalancerAndAWebServerMeet) {
  EXPECT_TRUE(meet(web_, hop("lb"), lb_, hop("web")));
  EXPECT_EQ(read_identity(meeting_.server.stream.peer_certificate())->server, "lb1");
}

TEST_F(UseTest, AServersCertificateIsRefusedAtTheHop) {
  EXPECT_EQ(said(*hop(), server_).error(), Reason::kWrongUse);
  EXPECT_FALSE(meet(web_, hop(), holder("lb1", {"lb"}, Use::kServer), hop()));
  EXPECT_STREQ(meeting_.server.shaken.error().text, text_of(Reason::kWrongUse));
  EXPECT_FALSE(meet(server_, hop(), lb_, hop()));
  EXPECT_STREQ(meeting_.client.shaken.error().text, text_of(Reason::kWrongUse));
}

TEST_F(UseTest, ACertificateForTrafficIsRefusedAtTheControlChannel) {
  EXPECT_EQ(said(*channel(), web_).error(), Reason::kWrongUse);
  EXPECT_FALSE(meet(server_, channel(), web_, channel()));
  EXPECT_STREQ(meeting_.server.shaken.error().text, text_of(Reason::kWrongUse));
  EXPECT_FALSE(meet(web_, channel(), server_, channel()));
  EXPECT_STREQ(meeting_.client.shaken.error().text, text_of(Reason::kWrongUse));
}

TEST_F(UseTest, WhoJoinsBelievesNoCertificateForTraffic) {
  const auto pinned = Verifier::pinned(authority_.fingerprint(), meeting_.clock);
  EXPECT_TRUE(meet(server_, channel(), server_, pinned));
  EXPECT_FALSE(meet(web_, channel(), server_, pinned));
  EXPECT_STREQ(meeting_.client.shaken.error().text, text_of(Reason::kWrongUse));
}

TEST_F(UseTest, OnlyTheMarkThatWeMakeIsTaken) {
  EXPECT_EQ(said(*hop(), marked({"traffic"}))->use, Use::kTraffic);
  EXPECT_EQ(said(*channel(), marked({}))->use, Use::kServer);
  const std::vector<std::string> others[] = {
      {"Traffic"}, {"server"}, {"traffic", "traffic"}, {"server", "traffic"}, {"traffic."}};
  for (const std::vector<std::string>& titles : others) {
    EXPECT_EQ(said(*hop(), marked(titles)).error(), Reason::kMalformed) << titles[0];
    EXPECT_EQ(said(*channel(), marked(titles)).error(), Reason::kMalformed) << titles[0];
  }
}

TEST_F(UseTest, AMarkOfNobodysAuthorityIsWorthNothing) {
  Forgery forgery{.titles = {"traffic"},
                  .not_before = meeting_.clock.wall() - 1h,
                  .not_after = meeting_.clock.wall() + 1h};
  EXPECT_EQ(said(*hop(), forge(forgery)).error(), Reason::kSelfSigned);
  const Authority foreign = Authority::make("site-1", meeting_.clock.wall()).value();
  forgery.issuer = {foreign.certificate_pem(), foreign.key_pem().value()};
  EXPECT_FALSE(said(*hop(), forge(forgery)));
  // The key of a web server signs nothing.
  forgery.issuer = web_;
  EXPECT_FALSE(said(*hop(), forge(forgery)));
}

TEST_F(UseTest, TheRoleIsCheckedWhereOneIsWanted) {
  EXPECT_TRUE(said(*hop("web"), web_));
  EXPECT_EQ(said(*hop("lb"), web_).error(), Reason::kWrongRole);
  EXPECT_EQ(said(*hop("web"), lb_).error(), Reason::kWrongRole);
  EXPECT_FALSE(meet(web_, hop("lb"), web_, hop("web")));
  EXPECT_STREQ(meeting_.server.shaken.error().text, text_of(Reason::kWrongRole));
  EXPECT_FALSE(meet(lb_, hop("lb"), lb_, hop("web")));
  EXPECT_STREQ(meeting_.client.shaken.error().text, text_of(Reason::kWrongRole));
}

TEST_F(UseTest, WhoHasSignedIsReadFromWhatIsSent) {
  EXPECT_EQ(signer_of(web_.certificates_pem), authority_.fingerprint());
  EXPECT_EQ(signer_of(marked({}).certificates_pem), std::nullopt);
  EXPECT_EQ(signer_of("nothing"), std::nullopt);
}

}  // namespace
}  // namespace terrace::certificates

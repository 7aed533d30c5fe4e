#include <gtest/gtest.h>

#include "certificates/handshake_fixture.h"

namespace terrace::certificates {
namespace {

using namespace std::chrono_literals;
using Side = net::TlsContext::Side;

class HandshakeTest : public testing::Test {
 protected:
  std::shared_ptr<const Verifier> verifier() {
    return Verifier::of_site(bundle_, {}, meeting_.clock).value();
  }
  Holder holder(const char* server) {
    return holder_of(authority_, {.server = server, .roles = {"web"}}, meeting_.clock.wall());
  }

  Meeting meeting_;
  Authority authority_ = Authority::make("site-1", meeting_.clock.wall()).value();
  Bundle bundle_ = Bundle::parse(authority_.certificate_pem()).value();
  Holder web1_ = holder("web1");
  Holder web2_ = holder("web2");
};

TEST_F(HandshakeTest, TwoServersOfASiteKnowEachOther) {
  meeting_.connect();
  ASSERT_TRUE(meeting_.meet(context_of(Side::kServer, web1_, verifier()),
                            context_of(Side::kClient, web2_, verifier()), "web1"));
  ASSERT_TRUE(meeting_.server.shaken) << describe(meeting_.server.shaken.error());
  ASSERT_TRUE(meeting_.client.shaken) << describe(meeting_.client.shaken.error());
  EXPECT_EQ(read_identity(meeting_.server.stream.peer_certificate())->server, "web2");
  EXPECT_EQ(read_identity(meeting_.client.stream.peer_certificate())->server, "web1");
  EXPECT_EQ(meeting_.client.stream.write_now("hello").value(), 5u);
  char bytes[16];
  ASSERT_EQ(meeting_.read(meeting_.server.stream, bytes).value(), 5u);
  EXPECT_EQ(std::string_view(bytes, 5), "hello");
}

TEST_F(HandshakeTest, AServerThatJoinsTrustsTheFingerprintOfTheAuthority) {
  meeting_.connect();
  const auto pinned = Verifier::pinned(authority_.fingerprint(), meeting_.clock);
  ASSERT_TRUE(meeting_.meet(context_of(Side::kServer, web1_, verifier(), true),
                            context_of(Side::kClient, {}, pinned)));
  ASSERT_TRUE(meeting_.server.shaken) << describe(meeting_.server.shaken.error());
  ASSERT_TRUE(meeting_.client.shaken) << describe(meeting_.client.shaken.error());
  EXPECT_EQ(meeting_.server.stream.peer_certificate(), "");
  EXPECT_EQ(read_identity(meeting_.client.stream.peer_certificate())->server, "web1");
}

TEST_F(HandshakeTest, AJoiningServerRefusesAnotherAuthority) {
  meeting_.connect();
  const Authority other = Authority::make("site-1", meeting_.clock.wall()).value();
  const auto pinned = Verifier::pinned(other.fingerprint(), meeting_.clock);
  ASSERT_TRUE(meeting_.meet(context_of(Side::kServer, web1_, verifier(), true),
                            context_of(Side::kClient, {}, pinned)));
  EXPECT_FALSE(meeting_.server.shaken);
  ASSERT_FALSE(meeting_.client.shaken);
  EXPECT_STREQ(meeting_.client.shaken.error().text, text_of(Reason::kForeignAuthority));
}

TEST_F(HandshakeTest, AServerThatSaysNothingIsGivenUpAtTheDeadline) {
  meeting_.connect();
  meeting_.scope.spawn(shake(meeting_.client, context_of(Side::kClient, web2_, verifier()), "web1", 30ms));
  ASSERT_TRUE(meeting_.reactor->run_until(meeting_.client.done, 5s));
  EXPECT_EQ(meeting_.client.shaken.error().code, Code::kTimeout);
}

TEST_F(HandshakeTest, ACancelEndsAHandshake) {
  meeting_.connect();
  meeting_.scope.spawn(shake(meeting_.client, context_of(Side::kClient, web2_, verifier()), "web1", 10s));
  meeting_.client.stream.cancel();
  ASSERT_TRUE(meeting_.reactor->run_until(meeting_.client.done, 5s));
  EXPECT_EQ(meeting_.client.shaken.error().code, Code::kCancelled);
}

TEST_F(HandshakeTest, AContextThatCannotServeIsNotMade) {
  const net::TlsContext::Options good{.side = Side::kServer,
                                      .certificates_pem = web1_.certificates_pem,
                                      .key_pem = web1_.key_pem,
                                      .verifier = verifier()};
  EXPECT_TRUE(net::TlsContext::make(good));
  net::TlsContext::Options other = good;
  other.verifier = nullptr;
  EXPECT_FALSE(net::TlsContext::make(other)) << "nobody would decide who may connect";
  other = good;
  other.key_pem = web2_.key_pem;
  EXPECT_FALSE(net::TlsContext::make(other)) << "the key of another certificate";
  for (const std::string& bytes : {std::string(), std::string("nothing"), web1_.key_pem}) {
    other = good;
    other.certificates_pem = bytes;
    EXPECT_FALSE(net::TlsContext::make(other));
  }
  other = good;
  other.key_pem = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
  EXPECT_FALSE(net::TlsContext::make(other)) << "and asks nobody for a password";
}

}  // namespace
}  // namespace terrace::certificates

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <thread>

#include "certificates/forgery.h"

namespace terrace::certificates {
namespace {

using namespace std::chrono_literals;
using Side = net::TlsContext::Side;

// Calls, asks for something and reads: what it is told when it is refused.
Task<void> call(End& end, std::shared_ptr<const net::TlsContext> context, Result<void>& told, bool& closed) {
  const Time deadline = end.stream.reactor().now() + 2s;
  told = co_await end.stream.start_tls(std::move(context), "", deadline);
  if (told) (void)end.stream.write_now("status?");
  char bytes[16];
  while (told) {
    const Result<size_t> n = end.stream.read_now(bytes);
    if (n && *n == 0) break;
    if (!n && n.error().code != Code::kWouldBlock) told = std::unexpected(n.error());
    if (told) told = co_await end.stream.readable(deadline);
  }
  end.stream.close();
  closed = true;
}

class HostileTest : public testing::Test {
 protected:
  std::shared_ptr<const Verifier> verifier(Revocations revoked = {}) {
    return Verifier::of_site(bundle_, std::move(revoked), meeting_.clock).value();
  }
  Holder holder(const Authority& authority, const char* server) {
    return holder_of(authority, {.server = server, .roles = {"web"}}, meeting_.clock.wall());
  }
  // A certificate that would be let in, to be changed in one place.
  Forgery almost_good() {
    return {.not_before = meeting_.clock.wall() - 1h,
            .not_after = meeting_.clock.wall() + 1h,
            .issuer = {authority_.certificate_pem(), authority_.key_pem().value()}};
  }
  void again() {
    meeting_.server.stream.close();
    meeting_.client.stream.close();
    meeting_.server.done = meeting_.client.done = false;
    meeting_.connect();
  }

  // What a client that calls with this context is told.
  Result<void> told_to(const std::shared_ptr<const net::TlsContext>& of_client,
                       const std::shared_ptr<const net::TlsContext>& of_server) {
    again();
    Result<void> told;
    bool closed = false;
    meeting_.scope.spawn(shake(meeting_.server, of_server, "", 2s));
    meeting_.scope.spawn(call(meeting_.client, of_client, told, closed));
    EXPECT_TRUE(meeting_.reactor->run_until(closed, 5s));
    EXPECT_TRUE(meeting_.reactor->run_until(meeting_.server.done, 5s));
    return told;
  }

  // The stranger calls: the server says why it refuses, and the caller learns of it.
  void refused_as_client(const Holder& stranger, Reason reason, Revocations revoked = {}) {
    SCOPED_TRACE("as client");
    const auto of_server = context_of(Side::kServer, web1_, verifier(std::move(revoked)));
    const Result<void> told = told_to(context_of(Side::kClient, stranger, verifier()), of_server);
    ASSERT_FALSE(meeting_.server.shaken);
    EXPECT_STREQ(meeting_.server.shaken.error().text, text_of(reason));
    EXPECT_NE(meeting_.server.shown, "");
    ASSERT_FALSE(told);
    EXPECT_TRUE(std::string_view(told.error().text).starts_with("the other end")) << describe(told.error());
  }

  // The stranger is called: the caller says why it refuses.
  void refused_as_server(const Holder& stranger, Reason reason, Revocations revoked = {}) {
    SCOPED_TRACE("as server");
    again();
    ASSERT_TRUE(meeting_.meet(context_of(Side::kServer, stranger, verifier()),
                              context_of(Side::kClient, web1_, verifier(std::move(revoked))), "web2"));
    ASSERT_FALSE(meeting_.client.shaken);
    EXPECT_STREQ(meeting_.client.shaken.error().text, text_of(reason));
    ASSERT_FALSE(meeting_.server.shaken);
    EXPECT_TRUE(std::string_view(meeting_.server.shaken.error().text).starts_with("the other end"))
        << describe(meeting_.server.shaken.error());
  }

  void refused(const Holder& stranger, Reason reason, const Revocations& revoked = {}) {
    refused_as_client(stranger, reason, revoked);
    refused_as_server(stranger, reason, revoked);
  }

  // What a server says of a caller that sends these bytes and then nothing.
  Result<void> said_of(std::string_view bytes, Duration limit) {
    meeting_.connect();
    EXPECT_EQ(::send(meeting_.client.stream.descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    meeting_.scope.spawn(shake(meeting_.server, context_of(Side::kServer, web1_, verifier()), "", limit));
    EXPECT_TRUE(meeting_.reactor->run_until(meeting_.server.done, 5s));
    return meeting_.server.shaken;
  }

  Meeting meeting_;
  Authority authority_ = Authority::make("site-1", meeting_.clock.wall()).value();
  Bundle bundle_ = Bundle::parse(authority_.certificate_pem()).value();
  Holder web1_ = holder(authority_, "web1");
};

TEST_F(HostileTest, AGoodForgeryIsLetIn) {
  again();
  ASSERT_TRUE(meeting_.meet(context_of(Side::kServer, web1_, verifier()),
                            context_of(Side::kClient, forge(almost_good()), verifier())));
  EXPECT_TRUE(meeting_.server.shaken && meeting_.client.shaken);
}

TEST_F(HostileTest, AnExpiredCertificateIsRefused) {
  Forgery expired = almost_good();
  expired.not_after = meeting_.clock.wall() - 1s;
  refused(forge(expired), Reason::kExpired);
}

TEST_F(HostileTest, ACertificateOfTomorrowIsRefused) {
  Forgery early = almost_good();
  early.not_before = meeting_.clock.wall() + 10min;
  refused(forge(early), Reason::kNotYetValid);
}

TEST_F(HostileTest, AnotherAuthorityIsRefusedWhateverItCallsItself) {
  const Authority same_name = Authority::make("site-1", meeting_.clock.wall()).value();
  refused(holder(same_name, "web2"), Reason::kForeignAuthority);
  const Authority other_name = Authority::make("site-2", meeting_.clock.wall()).value();
  refused(holder(other_name, "web2"), Reason::kForeignAuthority);
}

TEST_F(HostileTest, ARevokedSerialIsRefused) {
  const Holder web2 = holder(authority_, "web2");
  const std::string serial = read_identity_pem(web2.certificates_pem)->serial;
  refused(web2, Reason::kRevoked, {.serials = {{serial, meeting_.clock.wall() + 72h}}});
}

TEST_F(HostileTest, ARevokedServerIsRefusedWithAllItsCertificatesUntilThen) {
  const Holder before = holder(authority_, "web2");
  const Revocations revoked{.servers = {{"web2", meeting_.clock.wall()}}};
  refused(before, Reason::kRevoked, revoked);
  meeting_.clock.advance(1s);
  again();
  ASSERT_TRUE(meeting_.meet(context_of(Side::kServer, web1_, verifier(revoked)),
                            context_of(Side::kClient, holder(authority_, "web2"), verifier())));
  EXPECT_TRUE(meeting_.server.shaken) << "it has joined again";
}

TEST_F(HostileTest, ACertificateOfAnotherSiteIsRefused) {
  Forgery other = almost_good();
  other.site = "site-2";
  refused(forge(other), Reason::kWrongSite);
}

TEST_F(HostileTest, AnotherServerThanTheOneCalledIsRefused) {
  refused_as_server(holder(authority_, "web3"), Reason::kWrongServer);
}

TEST_F(HostileTest, ACertificateThatSignsItselfIsRefused) {
  Forgery own = almost_good();
  own.issuer = {};
  refused(forge(own), Reason::kSelfSigned);
}

TEST_F(HostileTest, ACertificateForAnotherUseIsRefused) {
  Forgery forgery = almost_good();
  forgery.extended_key_usage = "serverAuth";
  refused_as_client(forge(forgery), Reason::kWrongUse);
  forgery.extended_key_usage = "clientAuth";
  refused_as_server(forge(forgery), Reason::kWrongUse);
  forgery.extended_key_usage = "codeSigning";
  refused(forge(forgery), Reason::kWrongUse);
}

TEST_F(HostileTest, AnAuthorityIsNoServer) {
  refused_as_client({authority_.certificate_pem(), authority_.key_pem().value()}, Reason::kWrongUse);
  Forgery forgery = almost_good();
  forgery.constraints = "critical,CA:TRUE";
  forgery.key_usage = "critical,digitalSignature,keyCertSign";
  refused_as_client(forge(forgery), Reason::kMalformed);
}

TEST_F(HostileTest, AServerCannotSignForAnother) {
  Forgery forgery = almost_good();
  const Holder web3 = holder(authority_, "web3");
  forgery.issuer = web3;
  Holder signed_by_server = forge(forgery);
  signed_by_server.certificates_pem += web3.certificates_pem;
  refused(signed_by_server, Reason::kForeignAuthority);
}

TEST_F(HostileTest, AnotherKindOfKeyIsRefused) {
  Forgery forgery = almost_good();
  forgery.curve = "P-384";
  refused_as_client(forge(forgery), Reason::kMalformed);
}

TEST_F(HostileTest, ANameThatIsNoneIsRefused) {
  for (const char* name : {"web 2", "web2\n", "../web2", "web2\x01", "w\xc3\xa9z"}) {
    Forgery forgery = almost_good();
    forgery.server = name;
    refused_as_client(forge(forgery), Reason::kMalformed);
  }
}

TEST_F(HostileTest, ACertificateIsWantedUnlessItIsOptional) {
  const auto without = context_of(Side::kClient, {}, verifier());
  const Result<void> told = told_to(without, context_of(Side::kServer, web1_, verifier()));
  ASSERT_FALSE(told);
  EXPECT_STREQ(told.error().text, "the other end wants a certificate");
  ASSERT_FALSE(meeting_.server.shaken);
  EXPECT_STREQ(meeting_.server.shaken.error().text, text_of(Reason::kNoCertificate));
  // Where it is optional, a bad one is refused all the same.
  Forgery own = almost_good();
  own.issuer = {};
  const auto optional = context_of(Side::kServer, web1_, verifier(), true);
  EXPECT_FALSE(told_to(context_of(Side::kClient, forge(own), verifier()), optional));
  EXPECT_STREQ(meeting_.server.shaken.error().text, text_of(Reason::kSelfSigned));
}

TEST_F(HostileTest, AnotherProtocolInsideIsRefused) {
  for (const char* protocol : {"http/1.1", ""}) {
    const auto client = net::TlsContext::make({.side = Side::kClient,
                                               .certificates_pem = web1_.certificates_pem,
                                               .key_pem = web1_.key_pem,
                                               .verifier = verifier(),
                                               .protocol = protocol});
    EXPECT_FALSE(told_to(*client, context_of(Side::kServer, web1_, verifier())));
    ASSERT_FALSE(meeting_.server.shaken) << protocol;
    EXPECT_STREQ(meeting_.server.shaken.error().text, "another protocol is spoken inside");
  }
}

TEST_F(HostileTest, PlainTextIsToldFromTls) {
  for (const char* bytes :
       {"GET / HTTP/1.1\r\nHost: web1\r\n\r\n", "{\"ask\":\"status\"}\n", "SSH-2.0-x\r\n"}) {
    meeting_.server.done = false;
    meeting_.client.stream.close();
    const Result<void> said = said_of(bytes, 100ms);
    ASSERT_FALSE(said);
    EXPECT_EQ(said.error().code, Code::kInvalid) << describe(said.error());
    EXPECT_STREQ(said.error().text, "not TLS") << bytes;
  }
}

TEST_F(HostileTest, AHandshakeThatStallsEndsAtItsDeadline) {
  for (const std::string_view start : {std::string_view(), std::string_view("\x16\x03\x01\x02\x00\x01", 6)}) {
    meeting_.server.done = false;
    meeting_.client.stream.close();
    const Result<void> said = said_of(start, 30ms);
    ASSERT_FALSE(said);
    EXPECT_EQ(said.error().code, Code::kTimeout);
  }
}

TEST_F(HostileTest, AHandshakeThatDripsEndsAtItsDeadline) {
  meeting_.connect();
  // A record of 16 KiB whose bytes come one by one: each is progress, the whole is not.
  const std::string record =
      std::string("\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03", 11) + std::string(9, 'x');
  bool ended = false;
  const auto started = meeting_.reactor->now();
  meeting_.scope.spawn(shake(meeting_.server, context_of(Side::kServer, web1_, verifier()), "", 100ms));
  for (size_t i = 0; !meeting_.server.done; ++i) {
    if (i < record.size()) (void)meeting_.client.stream.write_now(std::string_view(record).substr(i, 1));
    (void)meeting_.reactor->run_until(ended, 10ms);
    ASSERT_LT(meeting_.reactor->now() - started, 5s);
  }
  EXPECT_EQ(meeting_.server.shaken.error().code, Code::kTimeout);
}

TEST_F(HostileTest, APeerThatGoesInTheMiddleIsAnOrdinaryError) {
  meeting_.connect();
  meeting_.scope.spawn(shake(meeting_.server, context_of(Side::kServer, web1_, verifier()), "", 2s));
  meeting_.client.stream.close();
  ASSERT_TRUE(meeting_.reactor->run_until(meeting_.server.done, 2s));
  EXPECT_EQ(meeting_.server.shaken.error().code, Code::kClosed) << describe(meeting_.server.shaken.error());
}

// A client of OpenSSL's own making, which sends what ours would not.
class Stranger {
 public:
  // Runs the handshake on a blocking descriptor that it owns.
  Stranger(int fd, SSL_CTX* context) : thread_([fd, context] { run(fd, context); }) {}
  ~Stranger() { thread_.join(); }

 private:
  static void run(int fd, SSL_CTX* context) {
    const Descriptor socket(fd);
    SSL* session = SSL_new(context);
    SSL_set_fd(session, fd);
    char byte = 0;
    if (SSL_connect(session) == 1) SSL_read(session, &byte, 1);
    SSL_free(session);
    SSL_CTX_free(context);
  }
  std::thread thread_;
};

class StrangerTest : public HostileTest {
 protected:
  Result<void> said_of_stranger(SSL_CTX* context) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    EXPECT_TRUE(meeting_.server.stream.open(*meeting_.reactor, Descriptor(ends[0])));
    const Stranger stranger(ends[1], context);
    meeting_.scope.spawn(shake(meeting_.server, context_of(Side::kServer, web1_, verifier()), "", 2s));
    EXPECT_TRUE(meeting_.reactor->run_until(meeting_.server.done, 5s));
    return meeting_.server.shaken;
  }

  static SSL_CTX* strange_context(int version) {
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>("\x09terrace/1"), 10);
    return context;
  }

  // Uses the certificate and sends another `count` times behind it.
  static void use(SSL_CTX* context, const Holder& holder, const Holder& behind, int count) {
    const std::vector<CertificateHandle> own = parse_pem(holder.certificates_pem, 2).value();
    const std::vector<CertificateHandle> other = parse_pem(behind.certificates_pem, 2).value();
    const PrivateKey key = PrivateKey::parse(holder.key_pem).value();
    ASSERT_EQ(SSL_CTX_use_certificate(context, own.front().get()), 1);
    ASSERT_EQ(SSL_CTX_use_PrivateKey(context, key.handle()), 1);
    for (int i = 0; i < count; ++i) SSL_CTX_add1_chain_cert(context, other.front().get());
  }
};

TEST_F(StrangerTest, OldVersionsAreRefused) {
  for (const int version : {TLS1_VERSION, TLS1_2_VERSION}) {
    meeting_.server.done = false;
    const Result<void> said = said_of_stranger(strange_context(version));
    ASSERT_FALSE(said);
    EXPECT_STREQ(said.error().text, "not TLS 1.3");
  }
}

TEST_F(StrangerTest, TooManyCertificatesAreRefused) {
  SSL_CTX* context = strange_context(TLS1_3_VERSION);
  use(context, forge(almost_good()), web1_, 4);
  const Result<void> said = said_of_stranger(context);
  ASSERT_FALSE(said);
  EXPECT_STREQ(said.error().text, text_of(Reason::kTooMany));
}

TEST_F(StrangerTest, TooLargeCertificatesAreRefused) {
  Forgery large = almost_good();
  large.comment_bytes = 7000;
  SSL_CTX* context = strange_context(TLS1_3_VERSION);
  use(context, forge(almost_good()), forge(large), 3);
  const Result<void> said = said_of_stranger(context);
  ASSERT_FALSE(said);
  EXPECT_STREQ(said.error().text, "the certificates are too large");
}

}  // namespace
}  // namespace terrace::certificates

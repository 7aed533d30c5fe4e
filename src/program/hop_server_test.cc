#include "program/hop_server.h"

#include <gtest/gtest.h>

#include <string>

#include "certificates/handshake_fixture.h"
#include "http/http2_client.h"
#include "net/listener.h"

namespace terrace::program {
namespace {

using namespace std::chrono_literals;
using certificates::Authority;
using certificates::Revocations;
using certificates::Subject;
using certificates::Verifier;
using Side = net::TlsContext::Side;
using topology::Role;

std::shared_ptr<const topology::Site> site_with(Role of_lb1) {
  auto site = std::make_shared<topology::Site>();
  site->servers = {{.name = "lb1", .address = "10.0.0.1", .roles = {of_lb1}},
                   {.name = "web1", .address = "10.0.0.2", .roles = {Role::kWeb}}};
  return site;
}

// What one request over the hop brought.
struct Asked {
  std::string target = "/";
  bool for_a_visitor = true;
  int status = 0;
  std::string answer;
};

class HopServerTest : public testing::Test, protected http::Handler, protected HopServer::Owner {
 protected:
  HopServerTest() {
    Descriptor socket = net::listen_on(net::Address::loopback(0)).value();
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &length);
    address_ = net::Address::from(bound, length);
    listener_ = std::make_unique<net::Listener>(*reactor_, std::move(socket), hop_, log_);
    EXPECT_TRUE(listener_->start());
    hop_.use_site(site_with(Role::kLb));
  }
  ~HopServerTest() override {
    scope_.spawn(close());
    EXPECT_TRUE(reactor_->run_until(closed_, 5s));
    EXPECT_EQ(reactor_->buffers().in_use(), 0u);
  }
  Task<void> close() {
    co_await listener_->close();
    co_await hop_.drain(50ms);
    while (scope_.running() > 1) co_await yield(*reactor_);
    closed_ = true;
  }

  // http::Handler, HopServer::Owner
  Task<void> handle(http::Exchange& exchange) override { return handle_hop(exchange); }
  Task<void> handle_hop(http::Exchange& exchange) override {
    http::ResponseHead head;
    head.status = 404;
    const std::string text = "the site's " + std::string(exchange.request().target);
    (void)co_await exchange.respond(head, text);
  }
  int health() const override { return health_; }
  void refused(int, const char*, const net::Peer&) override {}
  std::string_view error_page(int) override { return ""; }

  std::shared_ptr<const net::TlsContext> context(Side side, const Authority& signer, const Subject& subject,
                                                 Revocations revoked = {}) {
    const auto trusted = certificates::Bundle::parse(authority_.certificate_pem()).value();
    const certificates::Holder holder = holder_of(signer, subject, calendar_.wall());
    serial_ = certificates::read_identity_pem(holder.certificates_pem).value().serial;
    return net::TlsContext::make({.side = side,
                                  .certificates_pem = holder.certificates_pem,
                                  .key_pem = holder.key_pem,
                                  .verifier = Verifier::of_site(trusted, std::move(revoked), calendar_,
                                                                {.use = certificates::Use::kTraffic})
                                                  .value(),
                                  .protocol = "h2"})
        .value();
  }
  void serve(Revocations revoked = {}) {
    auto credentials = std::make_shared<HopCredentials>();
    credentials->serving =
        context(Side::kServer, authority_,
                {.server = "web1", .roles = {"web"}, .use = certificates::Use::kTraffic}, std::move(revoked));
    hop_.use_credentials(std::move(credentials));
  }

  // Until the connection is over.
  Task<void> speak(std::shared_ptr<const net::TlsContext> mine) {
    over_ = false;
    const Time deadline = reactor_->now() + 2s;
    Result<void> done = co_await connection_->stream().connect(*reactor_, address_, deadline);
    if (done) done = co_await connection_->stream().start_tls(std::move(mine), "web1", deadline);
    ready_ = true;
    if (done) done = co_await connection_->run();
    result_ = done;
    over_ = true;
  }
  void come(const Authority& signer, const std::string& name, const std::string& role,
            certificates::Use use = certificates::Use::kTraffic) {
    connection_ =
        std::make_unique<http::Http2ClientConnection>(*reactor_, http::Http2Limits::between_our_servers());
    ready_ = false;
    const auto mine = context(Side::kClient, signer, {.server = name, .roles = {role}, .use = use});
    scope_.spawn(speak(mine));
    EXPECT_TRUE(reactor_->run_until(ready_, 5s));
  }
  void come() { come(authority_, "lb1", "lb"); }
  bool is_cut_off() { return reactor_->run_until(over_, 5s); }
  // Refused without having been answered a frame.
  bool is_refused() { return is_cut_off() && !result_ && hop_.metrics().exchanges.get() == 0; }

  Task<void> ask(Asked& asked) {
    http::RequestHead head;
    head.method_text = "GET";
    head.target = asked.target;
    head.authority = "shop.example.com";
    if (asked.for_a_visitor)
      head.fields.add({"x-forwarded-for", "198.51.100.7", http::HeaderId::kXForwardedFor, false});
    http::Http2ClientRequest request(*reactor_);
    Result<void> done = request.start(*connection_, {.head = head, .scheme = "https"});
    if (done) done = co_await request.read_head(reactor_->now() + 2s);
    if (done) asked.status = request.head().status;
    while (done && !request.body_done()) {
      const Result<std::string_view> piece = co_await request.read_body(2s);
      if (!piece) break;
      asked.answer.append(*piece);
    }
    asked_ = true;
  }
  Asked get(const std::string& target, bool for_a_visitor = true) {
    Asked asked{.target = target, .for_a_visitor = for_a_visitor};
    asked_ = false;
    scope_.spawn(ask(asked));
    EXPECT_TRUE(reactor_->run_until(asked_, 5s));
    return asked;
  }

  SystemClock clock_;
  VirtualClock calendar_;  // for certificates
  Log log_{"test", LogLevel::kError};
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  Authority authority_ = Authority::make("site-1", calendar_.wall()).value();
  HopServer hop_{*reactor_, *this, *this, log_};
  std::unique_ptr<net::Listener> listener_;
  net::Address address_;
  std::unique_ptr<http::Http2ClientConnection> connection_;
  std::string serial_;  // of the last certificate that was made
  Result<void> result_;
  int health_ = 200;
  bool ready_ = false;
  bool over_ = false;
  bool asked_ = false;
  bool closed_ = false;
  Scope scope_;
};

TEST_F(HopServerTest, ALoadBalancerOfTheSiteAsksForItsVisitors) {
  serve();
  come();
  const Asked asked = get("/a?b");
  EXPECT_EQ(asked.status, 404);
  EXPECT_EQ(asked.answer, "the site's /a?b");
}

TEST_F(HopServerTest, SaysWhetherItIsWellToTheLoadBalancerAndNotToItsVisitors) {
  serve();
  come();
  EXPECT_EQ(get(std::string(kHopHealthPath), false).status, 200);
  health_ = 503;
  const Asked ill = get(std::string(kHopHealthPath), false);
  EXPECT_EQ(ill.status, 503);
  EXPECT_EQ(ill.answer, "");
  EXPECT_EQ(get(std::string(kHopHealthPath), true).status, 404);
}

TEST_F(HopServerTest, WithoutCredentialsEverybodyIsClosed) {
  come();
  EXPECT_TRUE(is_refused());
  EXPECT_EQ(hop_.metrics().connections.get(), 0u);
}

TEST_F(HopServerTest, WhoHasNotTheRoleInItsCertificateIsRefused) {
  serve();
  come(authority_, "web1", "web");
  EXPECT_TRUE(is_refused());
}

TEST_F(HopServerTest, WhoHasNotTheRoleInTheSiteFileIsRefused) {
  serve();
  come(authority_, "web1", "lb");
  EXPECT_TRUE(is_refused());
  come(authority_, "lb7", "lb");
  EXPECT_TRUE(is_refused());
}

TEST_F(HopServerTest, TheCertificateOfTheControlChannelIsRefused) {
  serve();
  come(authority_, "lb1", "lb", certificates::Use::kServer);
  EXPECT_TRUE(is_refused());
}

TEST_F(HopServerTest, AnotherSitesLoadBalancerIsRefused) {
  serve();
  come(Authority::make("site-1", calendar_.wall()).value(), "lb1", "lb");
  EXPECT_TRUE(is_refused());
}

TEST_F(HopServerTest, WhoLosesTheRoleIsCutOff) {
  serve();
  come();
  EXPECT_EQ(get("/").status, 404);
  hop_.use_site(site_with(Role::kLb));
  EXPECT_EQ(get("/").status, 404);
  hop_.use_site(site_with(Role::kApp));
  EXPECT_TRUE(is_cut_off());
  EXPECT_EQ(hop_.metrics().connections_open.get(), 0);
}

TEST_F(HopServerTest, WhoIsRevokedIsCutOffAndTheOthersAreNot) {
  serve();
  come();
  const std::string serial = serial_;
  EXPECT_EQ(get("/").status, 404);
  serve();
  EXPECT_EQ(get("/").status, 404);
  serve({.serials = {{serial, calendar_.wall() + 24h}}});
  EXPECT_TRUE(is_cut_off());
  hop_.use_credentials(nullptr);
  come();
  EXPECT_TRUE(is_cut_off());
}

TEST_F(HopServerTest, WhoseCertificateEndsMeanwhileMayGoOn) {
  serve();
  come();
  EXPECT_EQ(get("/").status, 404);
  calendar_.advance(certificates::kLifeDefault + 1h);
  serve();
  EXPECT_EQ(get("/").status, 404);
}

TEST_F(HopServerTest, ADrainTellsLoadBalancersToGo) {
  serve();
  come();
  EXPECT_EQ(get("/").status, 404);
  hop_.set_closing(true);
  EXPECT_TRUE(is_cut_off());
  EXPECT_TRUE(result_);
  hop_.set_closing(false);
  come();
  EXPECT_EQ(get("/").status, 404);
}

TEST(HopCheckPathTest, TheDefaultAsksTheServerAndNotItsApplication) {
  topology::Site site;
  EXPECT_EQ(hop_check_path(site, "/"), kHopHealthPath);
  EXPECT_EQ(hop_check_path(site, "/up"), "/up");
  site.app.run = "npm start";
  site.app.health = "/up";
  EXPECT_EQ(hop_check_path(site, "/up"), kHopHealthPath);
  EXPECT_EQ(hop_check_path(site, "/"), "/");
}

}  // namespace
}  // namespace terrace::program

// The hop between two servers of a site: HTTP/2 (http/http2_client.h, http2_server.h)
// inside mutual TLS of the site's own authority.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "certificates/handshake_fixture.h"
#include "http/http2_client.h"
#include "http/http2_server.h"
#include "net/listener.h"

namespace terrace::cluster {
namespace {

using namespace std::chrono_literals;
using certificates::Authority;
using certificates::Verifier;
using http::Exchange;
using http::Http2ClientConnection;
using http::Http2ClientRequest;
using Side = net::TlsContext::Side;

// Says back the body; "/large" is answered with 4 MiB.
class Echo final : public http::Handler {
 public:
  Task<void> handle(Exchange& exchange) override {
    http::ResponseHead head;
    if (exchange.request().path == "/large") {
      (void)co_await exchange.respond(head, large);
      co_return;
    }
    exchange.begin(head, std::nullopt);
    for (;;) {
      const Result<std::string_view> piece = co_await exchange.read_body();
      if (!piece) co_return exchange.abort();
      if (piece->empty()) break;
      (void)co_await exchange.write(*piece);
    }
    (void)co_await exchange.finish();
  }
  void refused(int, const char*, const net::Peer&) override {}
  std::string_view error_page(int) override { return ""; }
  const std::string large = std::string(4 << 20, 'l');
};

struct Asked {
  std::string target = "/";
  std::string body;
  std::string answer;
  std::optional<Error> error;
};

class HopTest : public testing::Test {
 protected:
  HopTest() {
    Descriptor socket = net::listen_on(net::Address::loopback(0)).value();
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &length);
    address_ = net::Address::from(bound, length);
    listener_ = std::make_unique<net::Listener>(*reactor_, std::move(socket), server_, log_);
    EXPECT_TRUE(listener_->start());
    server_.set_tls(context(Side::kServer, authority_, "web1"));
  }
  ~HopTest() override {
    connection_.cancel();
    scope_.spawn(close());
    EXPECT_TRUE(reactor_->run_until(closed_, 5s));
    EXPECT_EQ(reactor_->buffers().in_use(), 0u);
  }
  Task<void> close() {
    co_await listener_->close();
    if (!draining_) co_await drain(50ms);
    while (scope_.running() > 1) co_await yield(*reactor_);
    closed_ = true;
  }

  Task<void> drain(Duration limit) {
    draining_ = true;
    co_await server_.drain(limit);
  }

  std::shared_ptr<const net::TlsContext> context(Side side, const Authority& signer, const char* name) {
    const auto trusted = certificates::Bundle::parse(authority_.certificate_pem()).value();
    return context_of(side, holder_of(signer, {.server = name, .roles = {"lb"}}, clock_.wall()),
                      Verifier::of_site(trusted, {}, clock_).value());
  }
  // Until the connection is over.
  Task<void> speak(std::shared_ptr<const net::TlsContext> mine) {
    const Time deadline = reactor_->now() + 2s;
    Result<void> done = co_await connection_.stream().connect(*reactor_, address_, deadline);
    if (done) done = co_await connection_.stream().start_tls(std::move(mine), "web1", deadline);
    ready_ = true;
    if (done) done = co_await connection_.run();
    result_ = done;
    over_ = true;
  }
  Task<void> ask(Asked& asked) {
    http::RequestHead head;
    head.method = http::Method::kPost;
    head.method_text = "POST";
    head.target = asked.target;
    head.authority = "shop.example.com";
    head.framing = http::Framing::kChunked;
    Http2ClientRequest request(*reactor_);
    Scope sending;
    const Result<void> started = request.start(connection_, {.head = head, .scheme = "https"});
    if (started) {
      sending.spawn(send(request, asked));
      const Result<void> answered = co_await read(request, asked);
      if (!answered) asked.error = answered.error();
      if (!answered) request.cancel();
      co_await sending.join();
    } else {
      asked.error = started.error();
    }
    all_done_ = --left_ == 0;
  }
  static Task<void> send(Http2ClientRequest& request, const Asked& asked) {
    (void)co_await request.write_last(asked.body, 2s);
  }
  Task<Result<void>> read(Http2ClientRequest& request, Asked& asked) {
    const Result<void> answered = co_await request.read_head(reactor_->now() + 2s);
    if (!answered) co_return answered;
    while (!request.body_done()) {
      const Result<std::string_view> piece = co_await request.read_body(2s);
      if (!piece) co_return std::unexpected(piece.error());
      asked.answer.append(*piece);
    }
    co_return Result<void>();
  }
  void ask_all(std::vector<Asked>& all) {
    left_ = all.size();
    all_done_ = false;
    for (Asked& asked : all) scope_.spawn(ask(asked));
    EXPECT_TRUE(reactor_->run_until(all_done_, 10s));
  }
  void connect(const Authority& signer) {
    scope_.spawn(speak(context(Side::kClient, signer, "lb1")));
    EXPECT_TRUE(reactor_->run_until(ready_, 5s));
  }

  SystemClock clock_;
  Log log_{"test", LogLevel::kError};
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  Authority authority_ = Authority::make("site-1", clock_.wall()).value();
  Echo echo_;
  http::Http2Server server_{*reactor_, echo_, {.connection = http::Http2Limits::between_our_servers()}, log_};
  std::unique_ptr<net::Listener> listener_;
  net::Address address_;
  Http2ClientConnection connection_{*reactor_, http::Http2Limits::between_our_servers()};
  Result<void> result_;
  bool ready_ = false;
  bool over_ = false;
  bool closed_ = false;
  bool draining_ = false;
  size_t left_ = 0;
  bool all_done_ = false;
  Scope scope_;
};

TEST_F(HopTest, CarriesManyRequestsOverOneEncryptedConnection) {
  connect(authority_);
  for (int round = 0; round < 5; ++round) {
    std::vector<Asked> all(50);
    for (size_t i = 0; i < all.size(); ++i) all[i].body = std::to_string(i) + std::string(i * 700, 'b');
    all[7].target = "/large";
    all[8].body = std::string(3 << 20, 'u');
    ask_all(all);
    for (const Asked& asked : all) {
      EXPECT_FALSE(asked.error);
      EXPECT_EQ(asked.answer, asked.target == "/large" ? echo_.large : asked.body);
    }
  }
  EXPECT_EQ(server_.metrics().connections.get(), 1u);
}

TEST_F(HopTest, LetsNobodyInWithAnotherAuthority) {
  connect(Authority::make("site-1", clock_.wall()).value());
  EXPECT_TRUE(reactor_->run_until(over_, 5s));
  EXPECT_FALSE(result_);
  EXPECT_EQ(server_.metrics().exchanges.get(), 0u);
}

TEST_F(HopTest, EndsAConnectionThatWasBeingMadeWhenItIsDrained) {
  scope_.spawn(speak(context(Side::kClient, authority_, "lb1")));
  const bool never = false;
  while (server_.connections() == 0) (void)reactor_->run_until(never, 100us);
  EXPECT_FALSE(ready_);
  scope_.spawn(drain(5s));
  EXPECT_TRUE(reactor_->run_until(over_, 2s));
  EXPECT_TRUE(result_);
}

TEST_F(HopTest, AllocatesNothingForARequestOnceItIsWarm) {
  connect(authority_);
  std::vector<Asked> all(20);
  for (int round = 0; round < 5; ++round) ask_all(all);
  const uint64_t frames = FramePool::heap_allocations();
  const uint64_t buffers = reactor_->buffers().heap_allocations();
  const uint64_t exchanges = server_.exchanges_made();
  for (int round = 0; round < 20; ++round) ask_all(all);
  EXPECT_EQ(FramePool::heap_allocations(), frames);
  EXPECT_EQ(reactor_->buffers().heap_allocations(), buffers);
  EXPECT_EQ(server_.exchanges_made(), exchanges);
}

}  // namespace
}  // namespace terrace::cluster

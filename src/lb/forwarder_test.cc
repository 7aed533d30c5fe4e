#include "lb/forwarder.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "http/scripted_server_test.h"
#include "topology/load.h"

namespace terrace::lb {
namespace {

using namespace std::chrono_literals;
using http::FreePort;
using http::LiveServer;
using http::RawClient;
using http::ScriptedServer;

std::shared_ptr<const topology::Site> site_of(const std::string& text) {
  topology::LoadOptions options;
  options.look_at_folders = false;
  const topology::LoadedSite loaded = topology::load_site_text(text, "/srv/shop/site.toml", options);
  EXPECT_TRUE(loaded.site) << loaded.text;
  return loaded.site;
}

// A load balancer on one core, in front of backends of HTTP/1.1 that are all up.
class Front final : public http::Handler, public OwnServer, PoolEvents {
 public:
  Front(Reactor& reactor, const topology::Site& site, std::string_view secret, const ForwardOptions& options)
      : pools_(reactor, *this, {}, log_),
        upstreams_(reactor),
        forwarder_(reactor, pools_, upstreams_, *this) {
    pools_.use_clients(clients_);
    pools_.configure(site, secret);
    upstreams_.configure(topology::pools_of(site), {.server = "lb1"}, 100ms);
    forwarder_.set_options(options);
    for (const topology::Pool& pool : topology::pools_of(site)) {
      std::vector<Standing> standings;
      for (const topology::PoolMember& member : pool.members)
        standings.push_back({.name = member.name, .state = State::kUp});
      pools_.update(pool.name, standings);
    }
  }
  void silence(const std::string& name) { upstreams_.fell_silent(name); }
  Task<void> close(std::atomic<bool>& done) {
    co_await pools_.close(0ms);
    co_await upstreams_.close(0ms);
    done = true;
    done.notify_one();
  }

  Task<void> handle(http::Exchange& exchange) override {
    const http::UpstreamContext context{.peer = exchange.peer(), .scheme = "http", .request_id = "id"};
    const Forwarded outcome = co_await forwarder_.handle(exchange, context, exchange.peer().ip, "shop");
    if (outcome.error_status == 0) co_return;
    http::ResponseHead head;
    head.status = outcome.error_status;
    (void)co_await exchange.respond(head, outcome.why);
  }
  Task<bool> serve_here(http::Exchange& exchange, const http::UpstreamContext&, std::span<const http::Field>,
                        bool) override {
    (void)co_await exchange.respond({}, "here");
    co_return true;
  }
  void refused(int, const char*, const net::Peer&) override {}
  std::string_view error_page(int) override { return "refused"; }
  void suspect(const std::string&, const std::string&) override {}
  void verdict(const std::string&, const std::string&, Verdict) override {}

 private:
  Log log_{"test", LogLevel::kError};
  ClientTable clients_{1, 8};
  Pools pools_;
  Upstreams upstreams_;
  Forwarder forwarder_;
};

class Balanced {
 public:
  explicit Balanced(const std::string& text, std::string_view secret = {}, const ForwardOptions& options = {})
      : site_(site_of(text)), server_({}, [&](Reactor& reactor) {
          auto front = std::make_unique<Front>(reactor, *site_, secret, options);
          front_ = front.get();
          return front;
        }) {}
  ~Balanced() {
    std::atomic<bool> done{false};
    submit(server_.reactor(), [&] { scope_.spawn(front_->close(done)); });
    done.wait(false);
  }
  std::string ask(std::string_view bytes) {
    RawClient client(server_.port);
    client.send(bytes);
    client.end();
    return client.read_all();
  }
  // Returns when it is said.
  void silence(const std::string& name) {
    std::atomic<bool> said{false};
    submit(server_.reactor(), [&] {
      front_->silence(name);
      said = true;
      said.notify_one();
    });
    said.wait(false);
  }
  std::string get() { return ask("GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"); }

 private:
  std::shared_ptr<const topology::Site> site_;
  Front* front_ = nullptr;
  Scope scope_;
  LiveServer server_;
};

std::string backend(const std::string& name, uint16_t port, const std::string& more = {}) {
  return name + " = { address = \"127.0.0.1:" + std::to_string(port) + "\"" + more + " }\n";
}

std::string site_with(const std::string& backends, const std::string& lb = {}) {
  return "[servers]\nlb1 = { address = \"10.0.0.1\", roles = [\"lb\"] }\n[lb]\n" + lb + "[lb.backends]\n" +
         backends;
}

std::string answer(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

bool ends_with(const std::string& text, std::string_view end) { return text.ends_with(end); }

// Nobody listens there.
uint16_t closed_port() { return FreePort().port; }

const ForwardOptions kQuick{.queue_timeout = 300ms, .try_timeout = 300ms, .total_timeout = 900ms};

TEST(Forwarder, GivesEachBackendItsTurn) {
  ScriptedServer a({{answer("a")}, {answer("a")}});
  ScriptedServer b({{answer("b")}, {answer("b")}});
  Balanced front(site_with(backend("a", a.port) + backend("b", b.port)));
  std::string bodies;
  for (int i = 0; i < 4; ++i) bodies += front.get().back();
  EXPECT_EQ(std::ranges::count(bodies, 'a'), 2) << bodies;
  EXPECT_EQ(std::ranges::count(bodies, 'b'), 2) << bodies;
}

TEST(Forwarder, TriesAnotherBackendWhereNobodyListens) {
  ScriptedServer good({{answer("good")}, {answer("good")}, {answer("good")}});
  Balanced front(site_with(backend("gone", closed_port()) + backend("good", good.port)));
  EXPECT_TRUE(ends_with(front.get(), "good"));
  EXPECT_TRUE(ends_with(front.ask("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\nhi"), "good"));
}

TEST(Forwarder, SendsOnceMoreWhatIsIdempotentAndNothingElse) {
  ScriptedServer breaks({{.bytes = "", .close = true}, {.bytes = "", .close = true}});
  ScriptedServer good({{answer("good")}, {answer("good")}});
  Balanced front(site_with(backend("breaks", breaks.port) + backend("good", good.port)), {});
  EXPECT_TRUE(ends_with(front.get(), "good"));
  ScriptedServer alone({{.bytes = "", .close = true}, {answer("twice")}});
  Balanced other(site_with(backend("alone", alone.port)), {}, kQuick);
  EXPECT_TRUE(
      other.ask("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\nhi").starts_with("HTTP/1.1 502 "));
}

TEST(Forwarder, AnswersUnavailableWhenNobodyCameInTime) {
  Balanced front(site_with(backend("gone", closed_port())), {}, kQuick);
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(front.get().starts_with("HTTP/1.1 503 "));
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 290ms);
}

TEST(Forwarder, AnswersGatewayTimeoutWhenABackendIsSilent) {
  ScriptedServer silent({{.bytes = "", .close = false, .read_also = "never"}});
  Balanced front(site_with(backend("silent", silent.port)), {}, kQuick);
  EXPECT_TRUE(
      front.ask("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\nhi").starts_with("HTTP/1.1 504 "));
}

TEST(Forwarder, WaitsNoLongerForABackendThatFellSilent) {
  ScriptedServer silent({{.bytes = "", .close = false, .read_also = "never"}});
  ScriptedServer good({{answer("good")}, {answer("good")}});
  Balanced front(site_with(backend("silent", silent.port) + backend("good", good.port)));
  std::atomic<bool> over{false};
  std::thread checks([&] {
    for (; !over; std::this_thread::yield()) front.silence("silent");
  });
  EXPECT_TRUE(ends_with(front.get(), "good"));
  EXPECT_TRUE(ends_with(front.get(), "good"));
  over = true;
  checks.join();
}

TEST(Forwarder, DoesNotUseAConnectionAgainThatCarriedGarbage) {
  ScriptedServer odd({{answer("odd") + "HTTP/1.1 200 OK\r\n"}, {answer("next")}});
  Balanced front(site_with(backend("odd", odd.port)));
  EXPECT_TRUE(ends_with(front.get(), "odd"));
  EXPECT_TRUE(ends_with(front.get(), "next"));
  EXPECT_EQ(odd.connections(), 2);
}

TEST(Forwarder, GivesNobodyAPathThatTwoReadersUnderstandDifferently) {
  ScriptedServer a({{answer("a")}, {answer("a")}});
  Balanced front(site_with(backend("a", a.port)));
  for (const char* path : {"/x/../admin", "/x/%2e%2e/admin", "/a%00b", "/%", "/a%5cb"}) {
    const std::string refused = front.ask("GET " + std::string(path) + " HTTP/1.1\r\nHost: shop\r\n\r\n");
    EXPECT_TRUE(refused.starts_with("HTTP/1.1 400 ")) << path << "\n" << refused;
  }
  EXPECT_EQ(a.connections(), 0);
  // A name with a slash in it names no file, but something of the application's.
  EXPECT_TRUE(ends_with(front.ask("GET /a%2fb HTTP/1.1\r\nHost: shop\r\n\r\n"), "a"));
  EXPECT_TRUE(ends_with(front.ask("OPTIONS * HTTP/1.1\r\nHost: shop\r\n\r\n"), "a"));
}

TEST(Forwarder, KeepsAConnectionForTheNextRequest) {
  ScriptedServer a({{answer("1")}, {answer("2")}});
  Balanced front(site_with(backend("a", a.port)));
  EXPECT_TRUE(ends_with(front.get(), "1"));
  EXPECT_TRUE(ends_with(front.get(), "2"));
  EXPECT_EQ(a.connections(), 1);
}

TEST(Forwarder, KeepsAClientWithItsBackendByACookie) {
  ScriptedServer a({{answer("a")}, {answer("a")}, {answer("a")}});
  ScriptedServer b({{answer("b")}, {answer("b")}, {answer("b")}});
  Balanced front(site_with(backend("a", a.port) + backend("b", b.port), "sticky = true\n"),
                 std::string(32, 's'));
  const std::string first = front.get();
  const size_t at = first.find("Set-Cookie: terrace-server=");
  ASSERT_NE(at, std::string::npos) << first;
  const std::string cookie = first.substr(at + 12, first.find(';', at) - at - 12);
  for (int i = 0; i < 2; ++i) {
    const std::string again =
        front.ask("GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nCookie: " + cookie + "\r\n\r\n");
    EXPECT_EQ(again.back(), first.back());
    EXPECT_EQ(again.find("Set-Cookie"), std::string::npos);
  }
}

TEST(Forwarder, LimitsAClient) {
  ScriptedServer a({{answer("a")}, {answer("a")}});
  Balanced front(site_with(backend("a", a.port), "client_rate = 1\nclient_burst = 1\n"));
  EXPECT_TRUE(ends_with(front.get(), "a"));
  EXPECT_TRUE(front.get().starts_with("HTTP/1.1 429 "));
}

TEST(Forwarder, SaysWhoAsksInAProxyHeader) {
  ScriptedServer a({{answer("a")}});
  Balanced front(site_with(backend("a", a.port, ", proxy = true")));
  EXPECT_TRUE(ends_with(front.get(), "a"));
  EXPECT_TRUE(a.heard().starts_with(std::string_view("\r\n\r\n\0\r\nQUIT\n\x21\x11", 14))) << a.heard();
}

}  // namespace
}  // namespace terrace::lb

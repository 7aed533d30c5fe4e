#include "app/proxy.h"

#include <gtest/gtest.h>

#include "http/scripted_server_test.h"

namespace terrace::app {
namespace {

using namespace std::chrono_literals;
using http::FreePort;
using http::LiveServer;
using http::RawClient;
using http::ScriptedServer;

// The front: a handler that proxies everything to the instances it was told of.
class Front final : public http::Handler, public InstanceEvents {
 public:
  Front(Reactor& reactor, const ProxyOptions& options)
      : backends_(reactor, *this, {.connections_max = 4, .queue_max = 8}),
        proxy_(reactor, backends_, options) {}
  Task<void> handle(http::Exchange& exchange) override {
    const http::UpstreamContext context{.peer = exchange.peer(), .scheme = "http", .request_id = "id"};
    const Outcome outcome = co_await proxy_.handle(exchange, context, {}, without);
    if (outcome.given_back) {
      (void)co_await exchange.respond({}, "elsewhere");
      co_return;
    }
    if (outcome.error_status == 0) co_return;
    http::ResponseHead head;
    head.status = outcome.error_status;
    (void)co_await exchange.respond(head, outcome.why);
  }
  void refused(int, const char*, const net::Peer&) override {}
  std::string_view error_page(int) override { return "refused"; }
  void drained(uint32_t, uint32_t) override {}
  void failed(uint32_t, uint32_t, uint32_t) override { ++failures; }
  Backends& backends() { return backends_; }
  std::atomic<int> failures{0};
  std::atomic<Proxy::Without> without{Proxy::Without::kWait};

 private:
  Backends backends_;
  Proxy proxy_;
};

class ProxyTest : public testing::Test {
 protected:
  static ProxyOptions options() {
    ProxyOptions options;
    options.queue_timeout = 300ms;
    options.response_timeout = 300ms;
    return options;
  }
  std::unique_ptr<http::Handler> make(Reactor& reactor) {
    auto front = std::make_unique<Front>(reactor, options());
    front_ = front.get();
    return front;
  }
  void add(uint32_t slot, uint16_t port, InstanceState state = InstanceState::kUp) {
    std::atomic<bool> done{false};
    submit(server_.reactor(), [&] {
      front_->backends().update({.slot = slot,
                                 .generation = 1,
                                 .state = state,
                                 .address = net::Address::loopback(port),
                                 .name = "app-" + std::to_string(slot),
                                 .metrics = nullptr});
      done = true;
      done.notify_one();
    });
    done.wait(false);
  }
  std::string ask(std::string_view bytes) {
    RawClient client(server_.port);
    client.send(bytes);
    client.end();
    return client.read_all();
  }
  explicit ProxyTest(const http::ServerLimits& limits = {})
      : server_(limits, [this](Reactor& reactor) { return make(reactor); }) {}

  Front* front_ = nullptr;
  LiveServer server_;
};

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
constexpr const char* kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST_F(ProxyTest, RelaysRequestsOverOneConnection) {
  ScriptedServer instance({{.bytes = kOk}, {.bytes = kOk}});
  add(1, instance.port);
  EXPECT_TRUE(ask(kGet).ends_with("\r\n\r\nok"));
  EXPECT_TRUE(ask(kGet).ends_with("\r\n\r\nok"));
}

TEST_F(ProxyTest, RelaysChunksAndCloseDelimitedBodies) {
  ScriptedServer instance(
      {{.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
       {.bytes = "HTTP/1.0 200 OK\r\n\r\nuntil the end", .close = true}});
  add(1, instance.port);
  EXPECT_TRUE(ask(kGet).ends_with("3\r\nabc\r\n0\r\n\r\n"));
  EXPECT_TRUE(ask(kGet).ends_with("d\r\nuntil the end\r\n0\r\n\r\n"));
}

TEST_F(ProxyTest, SendsABodyOnWithOneFraming) {
  ScriptedServer instance({{.bytes = kOk, .read_also = "abc"}, {.bytes = kOk, .read_also = "0\r\n\r\n"}});
  add(1, instance.port);
  ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
  ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
      "chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\nTrailer: x\r\n\r\n");
  const std::string heard = instance.heard();
  EXPECT_NE(heard.find("Content-Length: 3\r\n\r\nabc"), std::string::npos) << heard;
  EXPECT_NE(heard.find("Transfer-Encoding: chunked\r\n\r\n"), std::string::npos) << heard;
  EXPECT_TRUE(heard.ends_with("0\r\n\r\n")) << heard;
  EXPECT_EQ(heard.find("x=y"), std::string::npos) << heard;
  EXPECT_EQ(heard.find("Trailer: x"), std::string::npos) << heard;
}

TEST_F(ProxyTest, TriesAnotherInstanceWhenOneRefuses) {
  uint16_t nobody = FreePort().port;
  ScriptedServer instance({{.bytes = kOk}, {.bytes = kOk}});
  add(1, nobody);
  add(2, instance.port);
  EXPECT_TRUE(ask(kGet).ends_with("ok"));
  EXPECT_TRUE(ask(kGet).ends_with("ok"));
  EXPECT_EQ(front_->failures, 1);
}

TEST_F(ProxyTest, SendsAnIdempotentRequestAgainWhenItsInstanceDied) {
  ScriptedServer dying({{.bytes = "", .close = true}});
  ScriptedServer instance({{.bytes = kOk}});
  add(1, dying.port);
  add(2, instance.port);
  EXPECT_TRUE(ask(kGet).ends_with("ok"));
}

TEST_F(ProxyTest, ARequestThatKillsItsInstancesIsNotSentForEver) {
  const ScriptedServer::Answer dies{.bytes = "", .close = true};
  std::deque<ScriptedServer> instances;
  for (uint32_t i = 0; i < 2; ++i) {
    instances.emplace_back(std::deque<ScriptedServer::Answer>{dies, dies, dies, dies});
    add(i, instances.back().port);
  }
  EXPECT_TRUE(ask(kGet).starts_with("HTTP/1.1 50"));
  size_t times = 0;
  for (ScriptedServer& one : instances) {
    const std::string heard = one.heard();
    for (size_t at = heard.find("GET /a "); at != std::string::npos; at = heard.find("GET /a ", at + 1))
      ++times;
  }
  EXPECT_GE(times, 2u) << "once more";
  EXPECT_LE(times, 7u) << "and not for as long as there is time";
}

TEST_F(ProxyTest, AnInstanceOnItsWayOutCountsOnceHoweverManyConnectionsItBreaks) {
  const ScriptedServer::Answer breaks{.bytes = "", .close = true};
  ScriptedServer instance({{.bytes = kOk}, breaks, breaks, breaks, {.bytes = kOk}});
  add(1, instance.port);
  EXPECT_TRUE(ask(kGet).ends_with("ok"));
  EXPECT_TRUE(ask(kGet).ends_with("ok"));
}

TEST_F(ProxyTest, TheRestOfABodyIsNeverReadAsARequest) {
  ScriptedServer instance({{.bytes = kOk}, {.bytes = kOk}});
  add(1, instance.port);
  RawClient client(server_.port);
  client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  const std::string answer = client.read_until("ok");
  EXPECT_TRUE(answer.ends_with("\r\n\r\nok")) << "the instance answers before the body is there: " << answer;
  client.send("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
  client.end();
  EXPECT_EQ(client.read_all().find("HTTP/1.1"), std::string::npos);
  EXPECT_EQ(instance.heard().find("smuggled"), std::string::npos);
}

TEST_F(ProxyTest, AConnectionWhoseBodyWasCutOffIsNotUsedAgain) {
  ScriptedServer instance({{.bytes = kOk}, {.bytes = kOk}});
  add(1, instance.port);
  RawClient client(server_.port);
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n");
  EXPECT_TRUE(client.read_until("ok").ends_with("ok"));
  client.send(std::string(20000, 'x'));
  client.end();
  client.read_all();
  EXPECT_TRUE(ask(kGet).ends_with("\r\n\r\nok"));
}

TEST_F(ProxyTest, TheTimeForAnAnswerBeginsAfterTheUpload) {
  ScriptedServer instance({{.bytes = kOk, .read_also = "the end"}});
  add(1, instance.port);
  RawClient client(server_.port);
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 17007\r\n\r\n" + std::string(5000, 'x'));
  // Longer than response_timeout, in pieces; a socket that nobody writes to is the clock.
  for (int i = 0; i < 3; ++i) {
    pollfd nothing{.fd = client.descriptor(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&nothing, 1, 150), 0);
    client.send(std::string(4000, 'x'));
  }
  client.send("the end");
  EXPECT_TRUE(client.read_until("ok").ends_with("ok"));
}

TEST_F(ProxyTest, SendsNoPostTwice) {
  ScriptedServer dying({{.bytes = "", .close = true, .read_also = "abc"}});
  add(1, dying.port);
  const std::string answer = ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 502 ")) << answer;
}

TEST_F(ProxyTest, AnswerOf502ForWhatIsNotHttp) {
  for (const char* bad :
       {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"}) {
    ScriptedServer instance({{.bytes = bad}});
    add(1, instance.port);
    EXPECT_TRUE(ask(kGet).starts_with("HTTP/1.1 502 ")) << bad;
    add(1, instance.port, InstanceState::kDown);
  }
}

TEST_F(ProxyTest, ABodyThatEndsEarlyIsBrokenOff) {
  ScriptedServer instance(
      {{.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", .close = true}});
  add(1, instance.port);
  const std::string answer = ask(kGet);
  EXPECT_EQ(answer.find("0\r\n\r\n"), std::string::npos) << answer;
}

TEST_F(ProxyTest, BytesAfterAResponseEndTheConnection) {
  ScriptedServer instance(
      {{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-"
                 "Length: 4\r\n\r\nevil"},
       {.bytes = kOk}});
  add(1, instance.port);
  EXPECT_TRUE(ask(kGet).ends_with("\r\n\r\nok"));
  EXPECT_TRUE(ask(kGet).ends_with("\r\n\r\nok")) << "over a new connection";
}

TEST_F(ProxyTest, WaitsForAnInstanceAndSays503AtTheLimit) {
  const std::string answer = ask(kGet);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ")) << answer;
  ScriptedServer instance({{.bytes = kOk}});
  RawClient client(server_.port);
  client.send(kGet);
  add(1, instance.port);
  EXPECT_TRUE(client.read_until("ok").ends_with("ok")) << "held until an instance came";
}

TEST_F(ProxyTest, GivesARequestBackThatSomebodyElseCanHaveWhileThereIsNoInstance) {
  front_->without = Proxy::Without::kElsewhere;
  EXPECT_TRUE(ask(kGet).ends_with("elsewhere"));
  add(1, FreePort().port);
  EXPECT_TRUE(ask(kGet).ends_with("elsewhere")) << "it refuses";
}

TEST_F(ProxyTest, WaitsForAnInstanceWithABodyThatCanBeReadOnce) {
  front_->without = Proxy::Without::kElsewhere;
  const std::string answer = ask("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ")) << answer;
}

TEST_F(ProxyTest, ASilentInstanceIsA504) {
  ScriptedServer instance({{.bytes = ""}, {.bytes = kOk}});
  add(1, instance.port);
  EXPECT_TRUE(ask(kGet).starts_with("HTTP/1.1 504 "));
}

TEST_F(ProxyTest, OpensATunnelAfterA101) {
  ScriptedServer instance(
      {{.bytes =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello"},
       {.bytes = "bye", .close = true}});
  add(1, instance.port);
  RawClient client(server_.port);
  client.send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  const std::string head = client.read_until("hello");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101 ")) << head;
  EXPECT_NE(head.find("Upgrade: websocket\r\n"), std::string::npos) << head;
  client.send("raw bytes\r\n\r\n");
  EXPECT_EQ(client.read_all(), "bye");
}

TEST_F(ProxyTest, DropsInformationalAnswersBeforeTheRealOne) {
  ScriptedServer instance(
      {{.bytes =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + std::string(kOk)}});
  add(1, instance.port);
  const std::string answer = ask(kGet);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 ")) << answer;
}

TEST_F(ProxyTest, EndlessInformationalAnswersAreA502) {
  std::string endless;
  for (int i = 0; i < 100; ++i) endless += "HTTP/1.1 103 Early Hints\r\n\r\n";
  ScriptedServer instance({{.bytes = endless}});
  add(1, instance.port);
  EXPECT_TRUE(ask(kGet).starts_with("HTTP/1.1 502 "));
}

TEST_F(ProxyTest, AHeadAnswerKeepsItsLength) {
  ScriptedServer instance({{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"}, {.bytes = kOk}});
  add(1, instance.port);
  const std::string answer = ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(answer.find("Content-Length: 12345\r\n"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("ok")) << answer;
}

// ---- clients that are slow with their body

class ProxySlowClientTest : public ProxyTest {
 protected:
  ProxySlowClientTest() : ProxyTest(impatient()) {}
  static http::ServerLimits impatient() {
    http::ServerLimits limits;
    limits.progress_max = 200ms;
    limits.rate_min = 1'000'000'000;
    limits.rate_grace = 100ms;
    return limits;
  }
};

TEST_F(ProxySlowClientTest, ABodyThatStopsComingIsA408) {
  ScriptedServer instance({{.bytes = kOk, .read_also = "the rest"}});
  add(1, instance.port);
  RawClient client(server_.port);
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  const std::string answer = client.read_all();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 ")) << answer;
  EXPECT_NE(answer.find("Connection: close"), std::string::npos) << answer;
  EXPECT_EQ(front_->failures, 0);
}

TEST_F(ProxySlowClientTest, ABodySlowerThanTheMinimumRateIsA408) {
  ScriptedServer instance({{.bytes = kOk, .read_also = "the rest"}});
  add(1, instance.port);
  RawClient client(server_.port);
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
  pollfd wait{.fd = client.descriptor(), .events = POLLIN, .revents = 0};
  for (int i = 0; i < 2000 && ::poll(&wait, 1, 10) == 0; ++i) client.send("x");
  const std::string answer = client.read_all();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 ")) << answer;
  EXPECT_TRUE(answer.ends_with("slower than the minimum rate")) << answer;
}

}  // namespace
}  // namespace terrace::app

// What only HTTP/2 can say, clients of HTTP/2, and large bodies through real servers.

#include <nghttp2/nghttp2.h>

#include <future>

#include "http/relay_front_test.h"

namespace terrace::http {
namespace {

using namespace std::chrono_literals;

using Script = std::function<void(ScriptedHttp2&)>;

// A request of a client of HTTP/1.1, and how its relay ended.
Ended end_of(Script script, std::string* answer = nullptr, std::string_view request = kGet) {
  FrontReport report;
  ScriptedBackend<ScriptedHttp2> backend(std::move(script));
  LiveServer server({}, [&](Reactor&) {
    return std::make_unique<Http2Front>(FrontOptions{.port = backend.port, .report = report});
  });
  RawClient client(server.port);
  client.send(request);
  if (request == kGet) client.end();
  const std::string got = client.read_all();
  if (answer != nullptr) *answer = got;
  return report.endings.next();
}

TEST(RelayHop, WhatTheServerDidNotTakeMayBeSentAgainWhateverItsMethod) {
  const Script scripts[] = {
      [](ScriptedHttp2& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.reset(NGHTTP2_REFUSED_STREAM);
        EXPECT_TRUE(backend.is_given_up());
      },
      [](ScriptedHttp2& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.say_goodbye(0);
        EXPECT_TRUE(backend.is_given_up());
      },
  };
  for (const Script& script : scripts) {
    const Ended ended = end_of(script);
    EXPECT_EQ(ended.end, RelayEnd::kBroken);
    EXPECT_EQ(ended.code, Code::kUnavailable);
    EXPECT_TRUE(ended.unprocessed);
    EXPECT_FALSE(ended.answered);
  }
}

TEST(RelayHop, ARequestThatWasRefusedStaysUnprocessedThoughItsBodyIsGivenUp) {
  const Ended ended = end_of(
      [](ScriptedHttp2& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.reset(NGHTTP2_REFUSED_STREAM);
        EXPECT_TRUE(backend.is_given_up());
      },
      nullptr, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(ended.end, RelayEnd::kBroken);
  EXPECT_TRUE(ended.unprocessed);
}

TEST(RelayHop, AnAnswerInProgressOutlivesAGoodbye) {
  std::string answer;
  const Ended ended = end_of(
      [](ScriptedHttp2& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.say_goodbye(1);
        backend.head(200, 2);
        backend.data("ok");
        backend.end();
        EXPECT_TRUE(backend.is_given_up());
      },
      &answer);
  EXPECT_EQ(ended.end, RelayEnd::kDone);
  EXPECT_TRUE(answer.ends_with("\r\n\r\nok")) << answer;
}

TEST(RelayHop, NothingIsLostByAStreamThatIsResetBeforeItsAnswerIsWhole) {
  const Ended ended = end_of([](ScriptedHttp2& backend) {
    EXPECT_TRUE(backend.take_head());
    backend.head(200, 10);
    backend.data("hello");
    backend.reset(NGHTTP2_INTERNAL_ERROR);
    EXPECT_TRUE(backend.is_given_up());
  });
  EXPECT_EQ(ended.end, RelayEnd::kBroken);
  EXPECT_EQ(ended.code, Code::kClosed);
  EXPECT_TRUE(ended.repeatable);
  EXPECT_FALSE(ended.unprocessed);
}

// RFC 9113 section 8.1: the answer is whole, the rest of the request is not wanted.
TEST(RelayHop, AnAnswerBeforeTheBodyMayEndWithAReset) {
  std::string answer;
  const Ended ended = end_of(
      [](ScriptedHttp2& backend) {
        EXPECT_TRUE(backend.take("x"));
        backend.head(200, 2);
        backend.data("ok");
        backend.end();
        backend.reset(NGHTTP2_NO_ERROR);
        EXPECT_TRUE(backend.is_given_up());
      },
      &answer, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
  EXPECT_EQ(ended.end, RelayEnd::kDone);
  EXPECT_TRUE(answer.find("\r\n\r\nok") != std::string::npos) << answer;
}

// ---- clients of HTTP/2

template <class Kind>
class RelayHop2Test : public testing::Test {
 protected:
  using Connection = typename Kind::Connection;
  void start(std::function<void(Connection&)> script) {
    backend_ = std::make_unique<ScriptedBackend<Connection>>(std::move(script));
    front_ = std::make_unique<typename Kind::Front>(FrontOptions{.port = backend_->port, .report = report_});
    Http2Server::Limits limits;
    limits.connection = Http2Limits::between_our_servers();
    server_ = std::make_unique<LiveHttp2Server>(limits, front_.get());
  }
  FrontReport report_;
  std::counting_semaphore<> go_{0};
  std::unique_ptr<ScriptedBackend<Connection>> backend_;
  std::unique_ptr<typename Kind::Front> front_;
  std::unique_ptr<LiveHttp2Server> server_;
};
using Kinds = testing::Types<OverHttp1, OverHttp2>;
TYPED_TEST_SUITE(RelayHop2Test, Kinds);

TYPED_TEST(RelayHop2Test, AnswersAClientOfHttp2) {
  this->start([](auto& backend) {
    EXPECT_TRUE(backend.take_end());
    EXPECT_NE(backend.heard().find("hello"), std::string::npos);
    backend.head(200, std::nullopt);
    backend.data("an");
    backend.data("swer");
    backend.end();
  });
  FrameClient client(this->server_->port);
  client.send(headers(1, request("POST", "/a"), 0) + frame(kData, kEndStream, 1, "hello"));
  EXPECT_EQ(client.body(1), "answer");
  EXPECT_EQ(this->report_.endings.next().end, RelayEnd::kDone);
}

TYPED_TEST(RelayHop2Test, ABackendIsToldAtOnceOfAClientThatLeaves) {
  this->start([this](auto& backend) {
    EXPECT_TRUE(backend.take_end());
    this->go_.release();
    EXPECT_TRUE(backend.is_given_up());
  });
  FrameClient client(this->server_->port);
  client.send(headers(1, request("GET", "/a")));
  this->go_.acquire();
  client.send(frame(kRstStream, 0, 1, number(NGHTTP2_CANCEL, 4)));
  const Ended ended = this->report_.endings.next();
  EXPECT_EQ(ended.end, RelayEnd::kClientGone);
  EXPECT_EQ(ended.code, Code::kCancelled);
  EXPECT_FALSE(ended.begun);
}

TYPED_TEST(RelayHop2Test, ABackendIsToldOfAClientThatLeavesWithinItsBody) {
  this->start([this](auto& backend) {
    EXPECT_TRUE(backend.take("hello"));
    this->go_.release();
    EXPECT_FALSE(backend.take_end());
  });
  FrameClient client(this->server_->port);
  client.send(headers(1, request("POST", "/a"), 0) + frame(kData, 0, 1, "hello"));
  this->go_.acquire();
  client.send(frame(kRstStream, 0, 1, number(NGHTTP2_CANCEL, 4)));
  EXPECT_NE(this->report_.endings.next().end, RelayEnd::kDone);
}

// ---- real servers behind it

template <class Front>
void relays_large_bodies(uint16_t backend) {
  FrontReport report;
  LiveServer server(
      {}, [&](Reactor&) { return std::make_unique<Front>(FrontOptions{.port = backend, .report = report}); });
  RawClient down(server.port);
  down.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  down.end();
  const std::string answer = down.read_all();
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, 3u << 20);
  EXPECT_EQ(report.endings.next().end, RelayEnd::kDone);

  const std::string body(3 << 20, 'u');
  for (const bool chunked : {false, true}) {
    RawClient up(server.port);
    up.send("POST /up HTTP/1.1\r\nHost: x\r\n");
    up.send(chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "Content-Length: 3145728\r\n\r\n");
    if (chunked) up.send("300000\r\n");
    up.send(body);
    if (chunked) up.send("\r\n0\r\n\r\n");
    up.end();
    EXPECT_NE(up.read_all().find("3145728:uuuu"), std::string::npos);
    const Ended ended = report.endings.next();
    EXPECT_EQ(ended.end, RelayEnd::kDone);
    EXPECT_TRUE(ended.upload_done);
  }
}

TEST(RelayLive, RelaysLargeBodiesOverHttp1) {
  LiveServer backend({}, [](Reactor&) { return std::make_unique<Http2Echo>(); });
  relays_large_bodies<Http1Front>(backend.port);
}

TEST(RelayLive, RelaysLargeBodiesOverHttp2) {
  Http2Server::Limits limits;
  limits.connection = Http2Limits::between_our_servers();
  LiveHttp2Server backend(limits);
  relays_large_bodies<Http2Front>(backend.port);
}

// A front that keeps its connection, as ordinary ones do; "/close" ends it.
class KeptHopFront final : public Http2Front {
 public:
  using Http2Front::Http2Front;
  Task<void> handle(Exchange& exchange) override {
    Reactor& reactor = exchange.reactor();
    if (exchange.request().path == "/close") {
      connection_->cancel();
      co_await scope_.join();
      exchange.abort();
      co_return;
    }
    if (connection_ == nullptr) {
      connection_ = std::make_unique<Http2ClientConnection>(reactor, options_.hop);
      const net::Address backend = net::Address::loopback(options_.port);
      EXPECT_TRUE(co_await connection_->stream().connect(reactor, backend, reactor.now() + 1s));
      scope_.spawn(speak(*connection_));
    }
    co_await relay(exchange, *connection_);
  }

 private:
  std::unique_ptr<Http2ClientConnection> connection_;
  Scope scope_;
};

// Of frames and buffers, on the thread of this server.
uint64_t heap_allocations_of(LiveServer& server) {
  std::promise<uint64_t> counted;
  submit(server.reactor(), [&] {
    counted.set_value(FramePool::heap_allocations() + server.reactor().buffers().heap_allocations());
  });
  return counted.get_future().get();
}

TEST(RelayLive, NothingIsAllocatedOverAHopInSteadyState) {
  Http2Server::Limits limits;
  limits.connection = Http2Limits::between_our_servers();
  LiveHttp2Server backend(limits);
  FrontReport report;
  LiveServer server({}, [&](Reactor&) {
    return std::make_unique<KeptHopFront>(FrontOptions{.port = backend.port, .report = report});
  });
  RawClient client(server.port);
  const auto ask = [&] {
    client.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    EXPECT_NE(client.read_until("3:abc").find("200 OK"), std::string::npos);
    EXPECT_EQ(report.endings.next().end, RelayEnd::kDone);
  };
  for (int i = 0; i < 50; ++i) ask();
  const uint64_t before = heap_allocations_of(server);
  for (int i = 0; i < 200; ++i) ask();
  // A pool may still grow by what one busy moment needs at once, but not with the requests.
  EXPECT_LE(heap_allocations_of(server) - before, 5u);
  RawClient closing(server.port);
  closing.send("GET /close HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(closing.read_all(), "");
}

}  // namespace
}  // namespace terrace::http

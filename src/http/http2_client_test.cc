#include "http/http2_client.h"

#include <gtest/gtest.h>

#include <functional>

#include "http/http2_frames_test.h"
#include "http/http2_live_test.h"

namespace terrace::http {
namespace {

using namespace std::chrono_literals;

// What a request was, and what became of it.
struct Asked {
  std::string method = "GET";
  std::string target = "/";
  std::string authority = "shop.example.com";
  std::string body;
  bool sized = false;
  std::string upgrade;
  Fields fields;

  RequestHead head() const {
    RequestHead made;
    made.method = method == "HEAD" ? Method::kHead : method == "POST" ? Method::kPost : Method::kGet;
    made.method_text = method;
    made.target = made.path = target;
    made.authority = authority;
    made.fields = fields;
    made.upgrade = !upgrade.empty();
    if (made.upgrade) made.fields.add({"Upgrade", upgrade, HeaderId::kUpgrade, true});
    if (!body.empty()) made.framing = sized ? Framing::kLength : Framing::kChunked;
    made.content_length = body.size();
    return made;
  }
  std::optional<Error> error;
  int status = 0;
  std::string answer;
  std::string type;
  std::string body_framing;
  bool unprocessed = false;
  bool refused = false;
  bool done = false;
};

class Http2ClientTest : public testing::Test {
 protected:
  static Http2Limits limits() {
    Http2Limits limits = Http2Limits::between_our_servers();
    limits.oddities_max = 50;
    limits.oddities_per_second = 1;
    return limits;
  }
  static Http2Server::Limits server_limits() {
    Http2Server::Limits limits;
    limits.connection = Http2Limits::between_our_servers();
    limits.connection.streams_max = 40;
    return limits;
  }
  ~Http2ClientTest() override {
    connection_.cancel();
    EXPECT_TRUE(reactor_->run_until(ended_, 5s));
    scope_done();
    EXPECT_EQ(reactor_->buffers().in_use(), 0u);
  }
  void scope_done() {
    const bool never = false;
    while (scope_.running() > 0) reactor_->run_until(never, 1ms);
  }
  // Connects to a port of this machine; `ready` once the server's settings are there.
  void connect(uint16_t port) { scope_.spawn(speak(port)); }
  Task<void> speak(uint16_t port) {
    const net::Address address = net::Address::loopback(port);
    const Result<void> connected =
        co_await connection_.stream().connect(*reactor_, address, reactor_->now() + 2s);
    EXPECT_TRUE(connected);
    connected_ = true;
    result_ = co_await connection_.run();
    ended_ = true;
  }
  Task<void> ask(Asked& asked) {
    Http2ClientRequest request(*reactor_);
    const RequestHead head = asked.head();
    const Result<void> gone = co_await exchange(request, head, asked);
    if (!gone) asked.error = gone.error();
    asked.unprocessed = request.unprocessed();
    asked.refused = request.refused();
    asked.done = true;
    ++done_;
    all_done_ = done_ == expected_;
  }
  Task<Result<void>> exchange(Http2ClientRequest& request, const RequestHead& head, Asked& asked) {
    const Result<void> started = request.start(connection_, {.head = head, .scheme = "http"});
    if (!started) co_return started;
    if (head.has_body()) {
      const Result<void> sent = co_await request.write_last(asked.body, 1s);
      if (!sent) co_return sent;
    }
    const Result<void> answered = co_await request.read_head(reactor_->now() + 2s);
    if (!answered) co_return answered;
    asked.status = request.head().status;
    asked.type = request.head().fields.value(HeaderId::kContentType);
    while (!request.body_done()) {
      const Result<std::string_view> piece = co_await request.read_body(2s);
      if (!piece) co_return std::unexpected(piece.error());
      asked.answer.append(*piece);
    }
    co_return Result<void>();
  }
  Task<void> await_tunnels(bool& ready) {
    while (!connection_.takes_tunnels()) co_await yield(*reactor_);
    ready = true;
  }
  void run(const bool& done) { EXPECT_TRUE(reactor_->run_until(done, 5s)); }
  // Asks all at once and waits for all.
  void ask_all(std::vector<Asked>& all) {
    if (!connected_) run(connected_);
    done_ = 0;
    all_done_ = false;
    expected_ = all.size();
    for (Asked& asked : all) scope_.spawn(ask(asked));
    run(all_done_);
  }
  Asked ask_one(const Asked& asked) {
    std::vector<Asked> one = {asked};
    ask_all(one);
    return one[0];
  }

  SystemClock clock_;
  std::unique_ptr<Reactor> reactor_ = Reactor::create(clock_, {}).value();
  Http2ClientConnection connection_{*reactor_, limits()};
  Result<void> result_;
  bool connected_ = false;
  bool ended_ = false;
  size_t done_ = 0;
  size_t expected_ = 0;
  bool all_done_ = false;
  Scope scope_;
};

class Http2HopTest : public Http2ClientTest {
 protected:
  Http2HopTest() { connect(live_.port); }
  LiveHttp2Server live_{server_limits()};
};

TEST_F(Http2HopTest, AsksAndIsAnswered) {
  const Asked asked = ask_one({.target = "/a?b"});
  EXPECT_FALSE(asked.error);
  EXPECT_EQ(asked.status, 200);
  EXPECT_EQ(asked.type, "text/plain");
  EXPECT_EQ(asked.answer, "GET /a?b shop.example.com 0:");
}

// HTTP/1.0 without Host: malformed in HTTP/2, and not the server's fault.
TEST_F(Http2HopTest, NamesAnAuthorityWhereTheClientNamedNone) {
  const Asked asked = ask_one({.authority = ""});
  EXPECT_FALSE(asked.error);
  EXPECT_EQ(asked.answer, "GET / localhost 0:");
}

TEST_F(Http2HopTest, CarriesManyRequestsAtATimeEachWithItsOwnAnswer) {
  for (int round = 0; round < 20; ++round) {
    std::vector<Asked> all(40);
    for (size_t i = 0; i < all.size(); ++i) {
      all[i].target = "/" + std::to_string(round) + "-" + std::to_string(i);
      if (i % 2 == 0) all[i].method = "POST";
      if (i % 2 == 0) all[i].body = std::string(i * 100 + 1, 'b');
      all[i].sized = i % 4 == 0;
    }
    ask_all(all);
    for (const Asked& asked : all) {
      EXPECT_FALSE(asked.error);
      EXPECT_TRUE(asked.answer.starts_with(asked.method + " " + asked.target + " shop.example.com " +
                                           std::to_string(asked.body.size()) + ":"))
          << asked.answer;
    }
  }
}

TEST_F(Http2HopTest, KeepsWhatIsHopByHop) {
  Asked asked;
  for (const Field& field :
       {Field{"Connection", "close", HeaderId::kConnection, true},
        Field{"Keep-Alive", "5", HeaderId::kKeepAlive, true}, Field{"X-Named", "1", HeaderId::kOther, true},
        Field{"Host", "other", HeaderId::kHost, false}, Field{"TE", "gzip", HeaderId::kTe, true},
        Field{"Transfer-Encoding", "chunked", HeaderId::kTransferEncoding, true},
        Field{"X-Kept", "2", HeaderId::kOther, false}}) {
    asked.fields.add(field);
  }
  EXPECT_EQ(ask_one(asked).answer, "GET / shop.example.com 0:\nx-kept: 2");
}

TEST_F(Http2HopTest, ReadsALargeAnswerAndSendsALargeBody) {
  std::vector<Asked> all(4);
  all[0].target = "/large";
  all[1] = {.method = "POST", .target = "/up", .body = std::string(3 << 20, 'u')};
  all[2].target = "/file";
  all[3] = {.method = "HEAD", .target = "/large"};
  ask_all(all);
  EXPECT_EQ(all[0].answer.size(), 3u << 20);
  EXPECT_TRUE(all[1].answer.starts_with("POST /up shop.example.com 3145728:uuu"));
  EXPECT_EQ(all[2].answer.size(), 100'000u);
  EXPECT_EQ(all[3].status, 200);
  EXPECT_EQ(all[3].answer, "");
}

TEST_F(Http2HopTest, SeesAnAnswerThatWasCutShort) {
  const Asked asked = ask_one({.target = "/short"});
  ASSERT_TRUE(asked.error);
  EXPECT_EQ(asked.error->code, Code::kClosed);
  EXPECT_FALSE(asked.unprocessed);
  EXPECT_FALSE(ask_one({.target = "/next"}).error);
}

TEST_F(Http2HopTest, TakesAnAnswerThatComesBeforeTheBodyWasRead) {
  const Asked asked = ask_one({.method = "POST", .target = "/unread", .body = std::string(1000, 'u')});
  EXPECT_EQ(asked.answer, "not read");
}

// Many clients ask for h2c in clear text, and most servers do not know what that is.
TEST_F(Http2HopTest, TakesAPlainAnswerToAnUpgradeForWhatItIs) {
  bool ready = false;
  scope_.spawn(await_tunnels(ready));
  run(ready);
  const Asked asked = ask_one({.target = "/large", .upgrade = "h2c"});
  EXPECT_FALSE(asked.error);
  EXPECT_EQ(asked.status, 200);
  EXPECT_EQ(asked.answer.size(), 3u << 20);
}

struct Tunnel {
  std::string heard;
  int status = 0;
  bool done = false;
};

Task<void> talk(Http2ClientConnection& connection, Tunnel& tunnel) {
  Reactor& reactor = connection.reactor();
  Asked asked{.upgrade = "websocket"};
  const RequestHead head = asked.head();
  Http2ClientRequest request(reactor);
  while (!connection.takes_tunnels()) co_await yield(reactor);
  EXPECT_TRUE(request.start(connection, {.head = head, .scheme = "http"}));
  EXPECT_TRUE(co_await request.read_head(reactor.now() + 2s));
  tunnel.status = request.head().status;
  for (const std::string_view word : {"one", "two"}) {
    EXPECT_TRUE(co_await request.write(word, 1s));
    const Result<std::string_view> piece = co_await request.read_body(1s);
    if (piece) tunnel.heard += *piece;
  }
  EXPECT_TRUE(co_await request.write_last({}, 1s));
  const Result<std::string_view> end = co_await request.read_body(1s);
  EXPECT_TRUE(end && end->empty());
  tunnel.done = true;
}

TEST_F(Http2HopTest, CarriesTunnels) {
  run(connected_);
  Tunnel tunnel;
  scope_.spawn(talk(connection_, tunnel));
  run(tunnel.done);
  EXPECT_EQ(tunnel.status, 101);
  EXPECT_EQ(tunnel.heard, "<one><two>");
}

struct GivenUp {
  Http2ClientRequest request;
  std::optional<Error> error;
  bool waiting = false;
  bool done = false;
};

Task<void> wait_for_nothing(Http2ClientConnection& connection, GivenUp& given) {
  Asked asked{.method = "POST", .target = "/hang", .body = "x"};
  const RequestHead head = asked.head();
  EXPECT_TRUE(given.request.start(connection, {.head = head, .scheme = "http"}));
  given.waiting = true;
  const Result<void> answered = co_await given.request.read_head(connection.reactor().now() + 5s);
  if (!answered) given.error = answered.error();
  given.done = true;
}

TEST_F(Http2HopTest, TellsTheServerOfARequestThatIsGivenUp) {
  run(connected_);
  GivenUp given{.request = Http2ClientRequest(*reactor_)};
  scope_.spawn(wait_for_nothing(connection_, given));
  EXPECT_FALSE(ask_one({}).error);
  EXPECT_EQ(live_.echo.hung, 0);
  given.request.cancel();
  run(given.done);
  EXPECT_EQ(given.error->code, Code::kCancelled);
  EXPECT_FALSE(ask_one({}).error);
  EXPECT_EQ(live_.echo.hung, 1);
}

TEST_F(Http2HopTest, ForgetsARequestThatIsGivenUpBeforeItLeft) {
  run(connected_);
  const Asked asked{.method = "POST", .target = "/never", .body = "x"};
  const RequestHead head = asked.head();
  {
    Http2ClientRequest request(*reactor_);
    EXPECT_TRUE(request.start(connection_, {.head = head, .scheme = "http"}));
    EXPECT_TRUE(request.unprocessed());
  }
  EXPECT_EQ(connection_.requests(), 0);
  EXPECT_FALSE(ask_one({}).error);
  EXPECT_EQ(live_.echo.handled, 1);
}

TEST_F(Http2HopTest, IsToldWhenTheServerDrains) {
  EXPECT_FALSE(ask_one({}).error);
  EXPECT_TRUE(connection_.takes_requests());
  live_.drain(2s);
  run(ended_);
  EXPECT_TRUE(result_);
  EXPECT_TRUE(connection_.gone());
  const Asked late = ask_one({});
  EXPECT_EQ(late.error->code, Code::kUnavailable);
  EXPECT_TRUE(late.unprocessed);
  EXPECT_FALSE(late.refused);
}

TEST_F(Http2HopTest, IsGivenBackWhatTheServerHasNobodyForAndGoesOn) {
  const Asked asked = ask_one({.target = "/elsewhere"});
  EXPECT_EQ(asked.error->code, Code::kUnavailable);
  EXPECT_TRUE(asked.unprocessed);
  EXPECT_TRUE(asked.refused);
  EXPECT_TRUE(connection_.takes_requests());
  EXPECT_FALSE(ask_one({}).error);
}

TEST_F(Http2HopTest, DrainsItself) {
  EXPECT_FALSE(ask_one({}).error);
  connection_.drain();
  EXPECT_FALSE(connection_.takes_requests());
  run(ended_);
  EXPECT_TRUE(result_);
}

TEST_F(Http2HopTest, UsesNoMoreMemoryOnceItIsWarm) {
  std::vector<Asked> all(20);
  for (int round = 0; round < 5; ++round) ask_all(all);
  const uint64_t before = FramePool::heap_allocations();
  for (int round = 0; round < 5; ++round) ask_all(all);
  EXPECT_EQ(FramePool::heap_allocations(), before);
}

// A server on a thread that says what a test wants, whatever it is asked.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::function<void(Descriptor&)> script)
      : thread_([this, script = std::move(script)] {
          pollfd wait{.fd = free_.socket.get(), .events = POLLIN, .revents = 0};
          ::poll(&wait, 1, 2000);
          Descriptor socket(::accept(free_.socket.get(), nullptr, nullptr));
          script(socket);
          // Until the client is gone.
          char bytes[4096];
          while (::recv(socket.get(), bytes, sizeof bytes, 0) > 0) {
          }
        }) {}
  ~ScriptedServer() { thread_.join(); }
  uint16_t port() const { return free_.port; }

 private:
  FreePort free_;
  std::thread thread_;
};

void say(Descriptor& socket, const std::string& bytes) {
  EXPECT_EQ(::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), ssize_t(bytes.size()));
}

// Reads up to the first HEADERS: before that, what is said of stream 1 is another mistake.
void hear_request(Descriptor& socket) {
  std::string heard;
  for (size_t at = kPreface.size();;) {
    while (heard.size() >= at + 9) {
      if (heard[at + 3] == kHeaders) return;
      at += 9 + (size_t{uint8_t(heard[at + 1])} << 8 | uint8_t(heard[at + 2]));
    }
    char bytes[4096];
    const ssize_t n = ::recv(socket.get(), bytes, sizeof bytes, 0);
    if (n <= 0) return;
    heard.append(bytes, static_cast<size_t>(n));
  }
}

class Http2HostileServerTest : public Http2ClientTest {
 protected:
  // Answers after the first bytes have come.
  Asked ask_server_that_says(const std::string& bytes) {
    server_ = std::make_unique<ScriptedServer>([bytes](Descriptor& socket) {
      hear_request(socket);
      say(socket, frame(kSettings, 0, 0, "") + bytes);
    });
    connect(server_->port());
    const Asked asked = ask_one({});
    connection_.cancel();
    run(ended_);
    return asked;
  }
  Code code_of(const std::string& bytes) {
    const Asked asked = ask_server_that_says(bytes);
    return asked.error ? asked.error->code : Code::kNotFound;
  }
  std::unique_ptr<ScriptedServer> server_;
};

TEST_F(Http2HostileServerTest, AnAnswerOf1xxIsDropped) {
  const Asked asked =
      ask_server_that_says(headers(1, {{":status", "103"}}, 0) + headers(1, {{":status", "204"}}));
  EXPECT_EQ(asked.status, 204);
}

TEST_F(Http2HostileServerTest, Endless1xxIsInvalid) {
  std::string all;
  for (int i = 0; i < 20; ++i) all += headers(1, {{":status", "103"}}, 0);
  EXPECT_EQ(code_of(all), Code::kInvalid);
}

TEST_F(Http2HostileServerTest, ABodyThatIsNotItsLengthIsInvalid) {
  EXPECT_EQ(code_of(headers(1, {{":status", "200"}, {"content-length", "5"}}, 0) +
                    frame(kData, kEndStream, 1, "abc")),
            Code::kInvalid);
}

TEST_F(Http2HostileServerTest, NoStatusIsInvalid) {
  EXPECT_EQ(code_of(headers(1, {{"x", "y"}}, kEndStream)), Code::kInvalid);
}

TEST_F(Http2HostileServerTest, AHeadThatIsTooLargeIsRefused) {
  EXPECT_EQ(code_of(frame(kHeaders, 0, 1, field(":status", "200") + field("x", std::string(10'000, 'x'))) +
                    frame(kContinuation, kEndHeaders, 1, field("y", std::string(10'000, 'y')))),
            Code::kLimit);
}

TEST_F(Http2HostileServerTest, ARefusedStreamMayBeAskedAgain) {
  const Asked asked = ask_server_that_says(frame(kRstStream, 0, 1, number(7, 4)));
  EXPECT_EQ(asked.error->code, Code::kUnavailable);
  EXPECT_TRUE(asked.unprocessed);
}

TEST_F(Http2HostileServerTest, SoMayOneThatGoawayLeavesOut) {
  const Asked asked = ask_server_that_says(frame(kGoaway, 0, 0, number(0, 4) + number(0, 4)));
  EXPECT_EQ(asked.error->code, Code::kUnavailable);
  EXPECT_TRUE(asked.unprocessed);
  EXPECT_FALSE(asked.refused) << "the whole connection is";
}

TEST_F(Http2HostileServerTest, WhatIsPushedEndsTheConnection) {
  const std::string agreed = frame(kSettings, kAck, 0, "");
  EXPECT_EQ(code_of(agreed + frame(kPushPromise, kEndHeaders, 1, number(2, 4) + block(request("GET", "/")))),
            Code::kInvalid);
}

TEST_F(Http2HostileServerTest, AFloodEndsTheConnection) {
  std::string all;
  for (int i = 0; i < 60; ++i) all += frame(kPing, 0, 0, "12345678");
  EXPECT_EQ(code_of(all), Code::kLimit);
}

TEST_F(Http2HostileServerTest, ASilentServerIsGivenUp) {
  server_ =
      std::make_unique<ScriptedServer>([](Descriptor& socket) { say(socket, frame(kSettings, 0, 0, "")); });
  Http2Limits quick = limits();
  quick.ping_interval = 50ms;
  quick.ping_timeout = 50ms;
  const Time before = clock_.now();
  Http2ClientConnection silent(*reactor_, quick);
  bool ended = false;
  Result<void> why;
  struct Run {
    static Task<void> run(Http2ClientConnection& connection, uint16_t port, Result<void>& why, bool& ended) {
      const net::Address address = net::Address::loopback(port);
      (void)co_await connection.stream().connect(connection.reactor(), address, Time::max());
      why = co_await connection.run();
      ended = true;
    }
  };
  scope_.spawn(Run::run(silent, server_->port(), why, ended));
  run(ended);
  EXPECT_EQ(why.error().code, Code::kTimeout);
  EXPECT_LT(clock_.now() - before, 1s);
  ended_ = true;
}

}  // namespace
}  // namespace terrace::http

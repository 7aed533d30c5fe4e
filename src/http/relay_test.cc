#include "http/relay.h"

#include <semaphore>

#include "http/relay_front_test.h"

namespace terrace::http {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
constexpr std::string_view kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
constexpr std::string_view kChunked = "POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

// Clients of HTTP/1.1, a front, and one scripted backend over each kind of request.
template <class Kind>
class RelayTest : public testing::Test {
 protected:
  using Connection = typename Kind::Connection;
  using Script = std::function<void(Connection&)>;

  // Starts the front; `limits` are those towards clients.
  void start(Script script, const RelayOptions& options = patient(), const ServerLimits& limits = {}) {
    backend_ = std::make_unique<ScriptedBackend<Connection>>(std::move(script));
    server_ = std::make_unique<LiveServer>(limits, [&](Reactor&) {
      return std::make_unique<typename Kind::Front>(
          FrontOptions{.port = backend_->port, .report = report_, .relay = options});
    });
  }
  static RelayOptions patient() { return {.response_timeout = 5s, .progress_max = 5s}; }
  // Asks, and reads the answer up to the end of the connection.
  std::string ask(std::string_view bytes) {
    RawClient client(server_->port);
    client.send(bytes);
    client.end();
    return client.read_all();
  }
  // One exchange with this script: how it ended.
  Ended end_of(std::string_view request, Script script, const RelayOptions& options = patient()) {
    start(std::move(script), options);
    answer_ = ask(request);
    return ended();
  }
  Ended ended() { return report_.endings.next(); }

  FrontReport report_;
  std::string answer_;
  std::counting_semaphore<> go_{0};  // the script may go on
  std::unique_ptr<ScriptedBackend<Connection>> backend_;
  std::unique_ptr<LiveServer> server_;
};

using Kinds = testing::Types<OverHttp1, OverHttp2>;
TYPED_TEST_SUITE(RelayTest, Kinds);

TYPED_TEST(RelayTest, RelaysAnAnswerWithTheFieldsThatAreAdded) {
  const Ended ended = this->end_of(kGet, [](auto& backend) {
    EXPECT_TRUE(backend.take_end());
    backend.head(200, 5, {{"X-Own", "1"}});
    backend.data("hello");
    backend.end();
  });
  EXPECT_TRUE(this->answer_.starts_with("HTTP/1.1 200 OK\r\n")) << this->answer_;
  EXPECT_TRUE(this->answer_.ends_with("\r\n\r\nhello")) << this->answer_;
  EXPECT_NE(this->answer_.find("X-Added: by the front\r\n"), std::string::npos) << this->answer_;
  EXPECT_NE(this->answer_.find("Content-Length: 5\r\n"), std::string::npos) << this->answer_;
  EXPECT_EQ(ended.end, RelayEnd::kDone);
  EXPECT_EQ(ended.status, 200);
  EXPECT_TRUE(ended.timed && ended.upload_done && ended.answered);
  EXPECT_FALSE(ended.body_taken);
}

TYPED_TEST(RelayTest, PassesEachPieceOnAsItComes) {
  this->start([this](auto& backend) {
    EXPECT_TRUE(backend.take_end());
    backend.head(200, std::nullopt);
    this->go_.acquire();
    backend.data("first");
    this->go_.acquire();
    backend.data("second");
    backend.end();
  });
  RawClient client(this->server_->port);
  client.send(kGet);
  const std::string head = client.read_until("\r\n\r\n");
  EXPECT_TRUE(head.ends_with("Transfer-Encoding: chunked\r\n\r\n")) << "before a byte of the body: " << head;
  this->go_.release();
  EXPECT_EQ(client.read_until("first\r\n"), "5\r\nfirst\r\n");
  this->go_.release();
  EXPECT_EQ(client.read_until("0\r\n\r\n"), "6\r\nsecond\r\n0\r\n\r\n");
}

TYPED_TEST(RelayTest, HoldsAnAnswerBackUntilItIsWhole) {
  this->start([this](auto& backend) {
    EXPECT_TRUE(backend.take_end());
    backend.head(200, 10);
    backend.data("first");
    this->go_.acquire();
    backend.data("other");
    backend.end();
  });
  RawClient client(this->server_->port);
  client.send(kGet);
  pollfd wait{.fd = client.descriptor(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&wait, 1, 50), 0);
  this->go_.release();
  EXPECT_TRUE(client.read_until("other").ends_with("\r\n\r\nfirstother"));
}

TYPED_TEST(RelayTest, KnowsAnswersWithoutABody) {
  struct Row {
    std::string_view request;
    int status;
    std::string_view length;
  };
  const Row rows[] = {{"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", 200, "12345"}, {kGet, 204, ""}, {kGet, 304, ""}};
  for (const Row& row : rows) {
    const Ended ended = this->end_of(row.request, [&](auto& backend) {
      EXPECT_TRUE(backend.take_end());
      Pairs fields;
      if (!row.length.empty()) fields = {{"Content-Length", std::string(row.length)}};
      backend.head_alone(row.status, fields);
      // It ends by itself: nothing is waited for.
      EXPECT_TRUE(backend.is_given_up());
    });
    EXPECT_EQ(ended.end, RelayEnd::kDone);
    EXPECT_EQ(ended.status, row.status);
    EXPECT_TRUE(this->answer_.ends_with("\r\n\r\n")) << this->answer_;
    const bool told = this->answer_.find("Content-Length: 12345\r\n") != std::string::npos;
    EXPECT_EQ(told, !row.length.empty()) << this->answer_;
  }
}

TYPED_TEST(RelayTest, DropsInformationalAnswers) {
  this->end_of(kGet, [](auto& backend) {
    EXPECT_TRUE(backend.take_end());
    backend.informational(100);
    backend.informational(103);
    backend.head(200, 2);
    backend.data("ok");
    backend.end();
  });
  EXPECT_TRUE(this->answer_.starts_with("HTTP/1.1 200 ")) << this->answer_;
  const Ended ended = this->end_of(kGet, [](auto& backend) {
    EXPECT_TRUE(backend.take_end());
    for (int i = 0; i < 100; ++i) backend.informational(103);
  });
  EXPECT_EQ(ended.end, RelayEnd::kBroken);
  EXPECT_EQ(ended.code, Code::kInvalid);
}

// ---- bodies of requests

TYPED_TEST(RelayTest, SendsABodyAndItsEnd) {
  const std::string longer(100'000, 'u');
  const std::string requests[] = {
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100003\r\n\r\n" + longer + "abc",
      std::string(kChunked) + "5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n",
  };
  for (const std::string& request : requests) {
    const Ended ended = this->end_of(request, [&](auto& backend) {
      EXPECT_TRUE(backend.take_end());
      const bool empty = request.find("abc") == std::string::npos;
      EXPECT_EQ(backend.heard().find("abc") == std::string::npos, empty);
      backend.head(200, 2);
      backend.data("ok");
      backend.end();
    });
    EXPECT_EQ(ended.end, RelayEnd::kDone);
    EXPECT_TRUE(ended.upload_done && ended.body_taken);
    EXPECT_FALSE(ended.repeatable);
    EXPECT_TRUE(this->answer_.ends_with("\r\n\r\nok")) << this->answer_;
  }
}

TYPED_TEST(RelayTest, PassesAnAnswerOnThatComesBeforeTheBody) {
  this->start([](auto& backend) {
    EXPECT_TRUE(backend.take("hello"));
    backend.head(200, 2);
    backend.data("ok");
    backend.end();
    EXPECT_TRUE(backend.is_given_up()) << "what it does not want nobody sends";
  });
  RawClient client(this->server_->port);
  client.send(std::string(kChunked) + "5\r\nhello\r\n");
  EXPECT_TRUE(client.read_until("ok").ends_with("\r\n\r\nok"));
  const Ended ended = this->ended();
  EXPECT_EQ(ended.end, RelayEnd::kDone);
  EXPECT_FALSE(ended.upload_done);
}

TYPED_TEST(RelayTest, ABackendThatIsToldNothingMoreSeesNoEndOfTheBody) {
  this->start([](auto& backend) {
    EXPECT_TRUE(backend.take("hello"));
    EXPECT_FALSE(backend.take_end());
  });
  RawClient client(this->server_->port);
  client.send(std::string(kChunked) + "5\r\nhello\r\n");
  client.end();
  const Ended ended = this->ended();
  EXPECT_EQ(ended.end, RelayEnd::kBodyRefused);
  EXPECT_EQ(ended.code, Code::kClosed);
}

TYPED_TEST(RelayTest, ABodyThatIsRefusedIsTheClientsFault) {
  struct Row {
    std::string_view body;
    std::string_view status;
  };
  ServerLimits limits;
  limits.body_bytes_max = 1000;
  limits.progress_max = 100ms;
  const Row rows[] = {{"fff\r\n", "413"}, {"5\r\nhello\r\nx", "400"}, {"5\r\nhello\r\n", "408"}};
  for (const Row& row : rows) {
    this->start([](auto& backend) { EXPECT_FALSE(backend.take_end()); }, this->patient(), limits);
    RawClient client(this->server_->port);
    client.send(std::string(kChunked) + std::string(row.body) +
                (row.status == "413" ? std::string(4095, 'x') : ""));
    const std::string answer = client.read_until("of the front");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + std::string(row.status))) << answer;
    EXPECT_EQ(this->ended().end, RelayEnd::kBodyRefused);
  }
}

TYPED_TEST(RelayTest, ReadsNothingFromAClientThatTheBackendDoesNotTake) {
  this->start([this](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    if constexpr (requires { backend.stop_taking(); }) backend.stop_taking();
    this->go_.acquire();
  });
  RawClient client(this->server_->port);
  client.send(kChunked);
  const std::string piece = "10000\r\n" + std::string(65536, 'x') + "\r\n";
  constexpr size_t kEnough = size_t{64} << 20;
  size_t sent = 0;
  pollfd wait{.fd = client.descriptor(), .events = POLLOUT, .revents = 0};
  while (sent < kEnough && ::poll(&wait, 1, 200) == 1) {
    const ssize_t n = ::send(client.descriptor(), piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<size_t>(n);
  }
  EXPECT_LT(sent, kEnough) << "the sockets are full, and nothing is read ahead";
  this->go_.release();
}

// ---- backends that fail

TYPED_TEST(RelayTest, NothingIsLostByABackendThatDiesBeforeItsAnswerIsWhole) {
  using Script = typename TestFixture::Script;
  const Script scripts[] = {
      [](auto& backend) { EXPECT_TRUE(backend.take_head()); },
      [](auto& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.die_hard();
      },
      [](auto& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.half_head();
      },
      [](auto& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.informational(103);
      },
      [](auto& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.head(200, 5);
      },
      [](auto& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.head(200, 5);
        backend.data("hell");
      },
  };
  for (const Script& script : scripts) {
    const Ended ended = this->end_of(kGet, script);
    EXPECT_EQ(ended.end, RelayEnd::kBroken);
    EXPECT_NE(ended.code, Code::kInvalid);
    EXPECT_TRUE(ended.repeatable);
    EXPECT_FALSE(ended.begun);
    EXPECT_TRUE(this->answer_.ends_with("of the front")) << this->answer_;
  }
}

TYPED_TEST(RelayTest, AnAnswerThatWasBegunAndIsCutShortIsBrokenOff) {
  this->start([this](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    backend.head(200, std::nullopt);
    backend.data("hello");
    this->go_.acquire();
  });
  RawClient client(this->server_->port);
  client.send(kGet);
  client.read_until("hello\r\n");
  this->go_.release();
  EXPECT_EQ(client.read_all(), "") << "no last chunk";
  const Ended ended = this->ended();
  EXPECT_EQ(ended.end, RelayEnd::kBroken);
  EXPECT_EQ(ended.code, Code::kClosed);
  EXPECT_TRUE(ended.begun);
  EXPECT_FALSE(ended.repeatable);
}

TYPED_TEST(RelayTest, ARequestWhoseBodyIsGoneIsNotRepeatable) {
  for (const std::string_view method : {"POST", "PUT"}) {
    const std::string request =
        std::string(method) + " / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    const Ended ended = this->end_of(request, [](auto& backend) { EXPECT_TRUE(backend.take_end()); });
    EXPECT_EQ(ended.end, RelayEnd::kBroken);
    EXPECT_TRUE(ended.body_taken);
    EXPECT_FALSE(ended.repeatable);
  }
}

TYPED_TEST(RelayTest, WhatIsNotHttpIsInvalid) {
  Ended ended = this->end_of(kGet, [](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    backend.nonsense();
    backend.is_given_up();
  });
  EXPECT_EQ(ended.end, RelayEnd::kBroken);
  EXPECT_EQ(ended.code, Code::kInvalid);
  ended = this->end_of(kGet, [](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    backend.head_alone(200, {{"Content-Length", "2"}, {"Content-Length", "3"}});
    backend.is_given_up();
  });
  EXPECT_EQ(ended.end, RelayEnd::kBroken);
  EXPECT_EQ(ended.code, Code::kInvalid);
  EXPECT_FALSE(ended.begun);
}

TYPED_TEST(RelayTest, SilenceIsATimeout) {
  RelayOptions options = this->patient();
  options.response_timeout = 50ms;
  for (const bool begins : {false, true}) {
    const Ended ended = this->end_of(
        kGet,
        [&](auto& backend) {
          EXPECT_TRUE(backend.take_head());
          if (begins) backend.head(200, 5);
          EXPECT_TRUE(backend.is_given_up());
        },
        options);
    EXPECT_EQ(ended.end, RelayEnd::kBroken);
    EXPECT_EQ(ended.code, Code::kTimeout);
    EXPECT_FALSE(ended.begun);
  }
}

// ---- clients that leave

TYPED_TEST(RelayTest, ABackendIsToldOfAClientThatLeftInTheMiddleOfItsAnswer) {
  this->start([this](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    backend.head(200, std::nullopt);
    backend.data("hello");
    this->go_.acquire();
    EXPECT_TRUE(backend.talks_until_given_up());
  });
  {
    RawClient client(this->server_->port);
    client.send(kGet);
    client.read_until("hello");
    const linger reset{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(client.descriptor(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  this->go_.release();
  const Ended ended = this->ended();
  EXPECT_EQ(ended.end, RelayEnd::kClientGone);
  EXPECT_EQ(ended.code, Code::kClosed);
  EXPECT_TRUE(ended.begun);
}

TYPED_TEST(RelayTest, WhoIsGivenUpAtTheLimitOfADrainGivesTheRequestUp) {
  this->start([this](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    this->go_.release();
    EXPECT_TRUE(backend.is_given_up());
  });
  RawClient client(this->server_->port);
  client.send(kGet);
  this->go_.acquire();
  this->server_.reset();
  const Ended ended = this->ended();
  EXPECT_EQ(ended.end, RelayEnd::kClientGone);
  EXPECT_EQ(ended.code, Code::kCancelled);
}

// ---- tunnels

TYPED_TEST(RelayTest, CarriesATunnelBothWaysAndEachEndOfIt) {
  this->start([](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    backend.open_tunnel();
    EXPECT_TRUE(backend.take("ping"));
    backend.tunnel_data("pong");
    EXPECT_TRUE(backend.take_tunnel_end());
    backend.tunnel_data("bye");
    backend.end_tunnel();
  });
  RawClient client(this->server_->port);
  client.send(kUpgrade);
  const std::string head = client.read_until("\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101 ")) << head;
  EXPECT_NE(head.find("Upgrade: websocket\r\n"), std::string::npos) << head;
  client.send("ping");
  EXPECT_EQ(client.read_until("pong"), "pong");
  EXPECT_EQ(this->report_.tunnels.get(), 1);
  client.end();
  EXPECT_EQ(client.read_all(), "bye");
  EXPECT_EQ(this->ended().end, RelayEnd::kDone);
  EXPECT_EQ(this->report_.tunnels.get(), 0);
}

TYPED_TEST(RelayTest, ATunnelThatNobodyUsesEnds) {
  RelayOptions options = this->patient();
  options.tunnel_idle_max = 50ms;
  ServerLimits limits;
  limits.tunnel_idle_max = 50ms;
  this->start(
      [](auto& backend) {
        EXPECT_TRUE(backend.take_head());
        backend.open_tunnel();
        EXPECT_TRUE(backend.is_given_up());
      },
      options, limits);
  RawClient client(this->server_->port);
  client.send(kUpgrade);
  EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 101 "));
  EXPECT_TRUE(client.at_end());
}

TYPED_TEST(RelayTest, ARefusedUpgradeIsAnAnswer) {
  const Ended ended = this->end_of(kUpgrade, [](auto& backend) {
    EXPECT_TRUE(backend.take_head());
    backend.head(403, 2);
    backend.data("no");
    backend.end();
  });
  EXPECT_EQ(ended.end, RelayEnd::kDone);
  EXPECT_TRUE(this->answer_.starts_with("HTTP/1.1 403 ")) << this->answer_;
  EXPECT_TRUE(this->answer_.ends_with("\r\n\r\nno")) << this->answer_;
}

}  // namespace
}  // namespace terrace::http

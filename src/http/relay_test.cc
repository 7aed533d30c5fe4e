#include "http/relay.h"

#include "http/relay_front_test.h"

namespace terrace::http {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kChunked = "POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

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

}  // namespace
}  // namespace terrace::http

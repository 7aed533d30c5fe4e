#include "http/server.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <future>
#include <vector>

#include "http/live_test.h"

namespace terrace::http {
namespace {

using namespace std::chrono_literals;

// Answers with what it was asked: "GET /path 3:abc" (method, target, body).
class Echo final : public Handler {
 public:
  Task<void> handle(Exchange& exchange) override {
    std::string body;
    for (;;) {
      const Result<std::string_view> piece = co_await exchange.read_body();
      if (!piece) {
        ResponseHead bad;
        bad.status = piece.error().code == Code::kLimit ? 413 : 400;
        (void)co_await exchange.respond(bad, piece.error().text);
        co_return;
      }
      if (piece->empty()) break;
      body.append(*piece);
    }
    const RequestHead& request = exchange.request();
    std::string answer(request.method_text);
    answer += ' ';
    answer += request.target;
    answer += ' ' + std::to_string(body.size()) + ':' + body.substr(0, 100);
    ResponseHead head;
    head.fields.add({"Content-Type", "text/plain", HeaderId::kContentType, false});
    if (request.path == "/chunked") {
      exchange.begin(head, std::nullopt);
      (void)co_await exchange.write(answer);
      (void)co_await exchange.write_last("!");
    } else if (request.path == "/large") {
      const std::string large(3 << 20, 'x');
      (void)co_await exchange.respond(head, large);
    } else if (request.path == "/short") {
      exchange.begin(head, 100);
      (void)co_await exchange.write("only this");
    } else if (request.path != "/silent") {
      (void)co_await exchange.respond(head, answer);
    }
  }
  void refused(int, const char*, const net::Peer&) override {}
  std::string_view error_page(int) override { return "error page"; }
};

std::unique_ptr<Handler> make_echo(Reactor&) { return std::make_unique<Echo>(); }

class ServerTest : public testing::Test {
 protected:
  std::string ask(std::string_view bytes) {
    RawClient client(server_.port);
    client.send(bytes);
    client.end();
    return client.read_all();
  }
  static ServerLimits limits() {
    ServerLimits limits;
    limits.head_timeout = 300ms;
    limits.progress_max = 300ms;
    limits.body_bytes_max = 1000;
    return limits;
  }
  LiveServer server_{limits(), make_echo};
};

TEST_F(ServerTest, AnswersAndKeepsTheConnection) {
  RawClient client(server_.port);
  for (int i = 0; i < 3; ++i) {
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string answer = client.read_until("GET /a 0:");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: ")) << answer;
    EXPECT_NE(answer.find("Content-Length: 9\r\n\r\nGET /a 0:"), std::string::npos) << answer;
  }
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  const std::string answer = ask(
      "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /3 "
      "HTTP/1.1\r\nHost: x\r\n\r\n");
  const size_t first = answer.find("GET /1 0:");
  const size_t second = answer.find("POST /2 3:abc");
  const size_t third = answer.find("GET /3 0:");
  EXPECT_LT(first, second) << answer;
  EXPECT_LT(second, third) << answer;
  EXPECT_NE(third, std::string::npos) << answer;
}

TEST_F(ServerTest, ReadsChunkedBodies) {
  const std::string answer =
      ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_NE(answer.find("POST / 5:abcde"), std::string::npos) << answer;
}

TEST_F(ServerTest, WritesChunksWhenTheLengthIsUnknown) {
  const std::string answer = ask("GET /chunked HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(answer.find("Transfer-Encoding: chunked\r\n\r\nf\r\nGET /chunked 0:\r\n1\r\n!\r\n0\r\n\r\n"),
            std::string::npos)
      << answer;
}

TEST_F(ServerTest, EndsAnUnknownLengthForHttp10ByClosing) {
  const std::string answer = ask("GET /chunked HTTP/1.0\r\n\r\n");
  EXPECT_EQ(answer.find("Transfer-Encoding"), std::string::npos) << answer;
  EXPECT_NE(answer.find("Connection: close"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nGET /chunked 0:!")) << answer;
}

TEST_F(ServerTest, KeepsAnHttp10ConnectionThatAsksForIt) {
  const std::string answer = ask("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n");
  EXPECT_NE(answer.find("Connection: keep-alive"), std::string::npos) << answer;
  EXPECT_NE(answer.find("GET /2 0:"), std::string::npos) << answer;
}

TEST_F(ServerTest, SendsNoBodyToHead) {
  const std::string answer = ask("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(answer.find("Content-Length: 10\r\n\r\n"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
}

TEST_F(ServerTest, SaysContinueBeforeTheBodyIsRead) {
  RawClient client(server_.port);
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hi");
  EXPECT_NE(client.read_until("2:hi").find("POST / 2:hi"), std::string::npos);
}

TEST_F(ServerTest, RefusesABadHeadAndWhatFollowsIt) {
  const std::string answer = ask("GET / HTTP/1.1\r\nHost : x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << answer;
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("error page")) << answer;
}

TEST_F(ServerTest, RefusesABodyOverTheLimitBeforeReadingIt) {
  EXPECT_TRUE(ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n").starts_with("HTTP/1.1 413 "));
  std::string chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n";
  chunked += std::string(1001, 'x') + "\r\n0\r\n\r\n";
  EXPECT_TRUE(ask(chunked).starts_with("HTTP/1.1 413 "));
}

TEST_F(ServerTest, ABodyCutShortIsAnErrorAndTheConnectionEnds) {
  const std::string answer = ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << answer;
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
}

TEST_F(ServerTest, AHeadThatTakesTooLongIsGivenUp) {
  RawClient client(server_.port);
  client.send("GET / HTTP/1.1\r\nHo");
  EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 408 "));
}

TEST_F(ServerTest, ABodyThatMakesNoProgressIsGivenUp) {
  RawClient client(server_.port);
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 400 "));
}

TEST_F(ServerTest, AByteAtATimeIsReadLikeAllAtOnce) {
  RawClient client(server_.port);
  for (const char byte : std::string_view("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")) {
    client.send({&byte, 1});
  }
  EXPECT_NE(client.read_until("3:abc").find("POST /slow 3:abc"), std::string::npos);
}

TEST_F(ServerTest, SendsALargeBodyToASlowReaderWhole) {
  RawClient client(server_.port);
  client.send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string answer = client.read_all();
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, size_t{3} << 20);
}

TEST_F(ServerTest, AnAnswerShorterThanPromisedIsBrokenOff) {
  RawClient client(server_.port);
  client.send("GET /short HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string answer = client.read_all();
  char byte = 0;
  EXPECT_EQ(answer.find("only this\r\n"), std::string::npos);
  EXPECT_LE(::recv(client.descriptor(), &byte, 1, 0), 0);
}

TEST_F(ServerTest, AHandlerThatAnswersNothingBecomesA500) {
  EXPECT_TRUE(ask("GET /silent HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 500 "));
}

TEST_F(ServerTest, AnUpgradeWithEarlyBytesIsRefused) {
  const std::string answer =
      ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << answer;
}

struct Allocations {
  uint64_t frames = 0;
  uint64_t buffers = 0;
  uint64_t exchanges = 0;
  bool operator==(const Allocations&) const = default;
};

Allocations count_allocations(LiveServer& server) {
  Allocations counted;
  std::atomic<bool> done{false};
  submit(server.reactor(), [&] {
    counted = {FramePool::heap_allocations(), server.reactor().buffers().heap_allocations(),
               server.server().exchanges_made()};
    done = true;
    done.notify_one();
  });
  done.wait(false);
  return counted;
}

TEST_F(ServerTest, AllocatesNothingPerRequestInSteadyState) {
  RawClient client(server_.port);
  const auto ask_once = [&] {
    client.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    client.read_until("3:abc");
  };
  for (int i = 0; i < 10; ++i) ask_once();
  const Allocations before = count_allocations(server_);
  for (int i = 0; i < 200; ++i) ask_once();
  EXPECT_EQ(count_allocations(server_), before);
}

TEST(ServerLimit, ConnectionsBeyondTheLimitAreTold) {
  ServerLimits limits;
  limits.connections_max = 1;
  LiveServer server(limits, make_echo);
  RawClient first(server.port);
  first.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  first.read_until("GET /a 0:");
  RawClient second(server.port);
  EXPECT_TRUE(second.read_all().starts_with("HTTP/1.1 503 "));
}

TEST(ServerLimit, AKeptConnectionThatStaysIdleIsClosed) {
  ServerLimits limits;
  limits.idle_timeout = 100ms;
  LiveServer server(limits, make_echo);
  RawClient client(server.port);
  client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  client.read_until("GET /a 0:");
  EXPECT_TRUE(client.at_end());
}

// Writes until that fails, and tells how it failed.
class Endless final : public Handler {
 public:
  explicit Endless(std::promise<Code>& failed) : failed_(failed) {}
  Task<void> handle(Exchange& exchange) override {
    const std::string piece(1 << 16, 'x');
    const ResponseHead head;
    exchange.begin(head, std::nullopt);
    Result<void> written;
    while (written) written = co_await exchange.write(piece);
    failed_.set_value(written.error().code);
  }
  void refused(int, const char*, const net::Peer&) override {}
  std::string_view error_page(int) override { return ""; }

 private:
  std::promise<Code>& failed_;
};

TEST(ServerLimit, AReaderThatReadsNothingIsGivenUp) {
  std::promise<Code> failed;
  std::future<Code> failure = failed.get_future();
  ServerLimits limits;
  limits.progress_max = 100ms;
  LiveServer server(limits, [&](Reactor&) { return std::make_unique<Endless>(failed); });
  RawClient client(server.port);
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_EQ(failure.wait_for(20s), std::future_status::ready);
  EXPECT_EQ(failure.get(), Code::kTimeout);
  // What the kernel still held comes, then the end, without the last chunk.
  EXPECT_FALSE(client.read_all().ends_with("0\r\n\r\n"));
  EXPECT_TRUE(client.at_end());
}

// ---- the minimum rate

TEST(ServerRate, IsLookedAtAfterTheGraceOnly) {
  ServerLimits limits;
  limits.rate_min = 200;
  limits.rate_grace = 10s;
  EXPECT_FALSE(is_too_slow(limits, 0, 10s));
  EXPECT_TRUE(is_too_slow(limits, 2199, 11s));
  EXPECT_FALSE(is_too_slow(limits, 2200, 11s));
}

// What moves on loopback in a few milliseconds is too slow.
ServerLimits demanding() {
  ServerLimits limits;
  limits.rate_min = 1'000'000'000;
  limits.rate_grace = 100ms;
  return limits;
}

// Until something comes, or the end; so long that a slow machine gets there.
bool nothing_comes(const RawClient& client) {
  pollfd wait{.fd = client.descriptor(), .events = POLLIN, .revents = 0};
  return ::poll(&wait, 1, 10) == 0;
}

TEST(ServerRate, ABodyThatTricklesInIsGivenUp) {
  LiveServer server(demanding(), make_echo);
  RawClient client(server.port);
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
  for (int i = 0; i < 2000 && nothing_comes(client); ++i) client.send("x");
  const std::string answer = client.read_all();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << answer;
  EXPECT_TRUE(answer.ends_with("slower than the minimum rate")) << answer;
}

// Answers with 64 MiB, more than the kernel holds, and tells how that failed.
class Large final : public Handler {
 public:
  Large(std::promise<Code>& failed, bool as_file)
      : failed_(failed), as_file_(as_file), file_(::memfd_create("large", MFD_CLOEXEC)), text_(kBytes, 'x') {
    EXPECT_EQ(::ftruncate(file_.get(), static_cast<off_t>(kBytes)), 0);
  }
  Task<void> handle(Exchange& exchange) override {
    const ResponseHead head;
    exchange.begin(head, kBytes);
    Task<Result<void>> sending =
        as_file_ ? exchange.send_file(file_.get(), 0, kBytes) : exchange.write(text_);
    const Result<void> sent = co_await sending;
    failed_.set_value(sent ? Code::kClosed : sent.error().code);
  }
  void refused(int, const char*, const net::Peer&) override {}
  std::string_view error_page(int) override { return ""; }

 private:
  static constexpr size_t kBytes = 64 << 20;
  std::promise<Code>& failed_;
  bool as_file_;
  Descriptor file_;
  std::string text_;
};

class SlowReaderTest : public testing::TestWithParam<bool> {};

TEST_P(SlowReaderTest, IsGivenUpThoughItReadsSomething) {
  std::promise<Code> failed;
  std::future<Code> failure = failed.get_future();
  LiveServer server(demanding(), [&](Reactor&) { return std::make_unique<Large>(failed, GetParam()); });
  RawClient client(server.port);
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  std::vector<char> piece(64 << 10);
  for (int i = 0; i < 2000 && failure.wait_for(10ms) != std::future_status::ready; ++i)
    EXPECT_GT(::recv(client.descriptor(), piece.data(), piece.size(), 0), 0);
  ASSERT_EQ(failure.wait_for(0s), std::future_status::ready);
  EXPECT_EQ(failure.get(), Code::kTimeout);
}

INSTANTIATE_TEST_SUITE_P(OfMemoryAndFiles, SlowReaderTest, testing::Bool());

}  // namespace
}  // namespace terrace::http

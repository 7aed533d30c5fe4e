#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "http/case_table.h"
#include "http/live_test.h"

// The requests and chunked bodies of tests/http/cases.toml over a socket to a real
// server, with the client's end closed behind them.

namespace terrace::http {
namespace {

// Answers with the body that came, or with the status that its error asks for.
class EchoBody final : public Handler {
 public:
  Task<void> handle(Exchange& exchange) override {
    std::string body;
    ResponseHead head;
    for (;;) {
      const Result<std::string_view> piece = co_await exchange.read_body();
      if (!piece) {
        head.status = piece.error().code == Code::kLimit ? 413 : 400;
        (void)co_await exchange.respond(head, piece.error().text);
        co_return;
      }
      if (piece->empty()) break;
      body.append(*piece);
    }
    (void)co_await exchange.respond(head, body);
  }
  void refused(int, const char*, const net::Peer&) override {}
  std::string_view error_page(int) override { return "refused"; }
};

std::unique_ptr<Handler> make_echo(Reactor&) { return std::make_unique<EchoBody>(); }

// A case as it reaches a server.
struct Sent {
  std::string bytes;
  int status = 200;
  int answers = 1;
  bool breaks = false;
  std::optional<std::string> body;
};

Sent sent(const Case& c) {
  Sent s{.bytes = c.bytes, .body = c.body};
  if (c.side == "chunk")
    s.bytes = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + c.bytes;
  if (c.refused_with != 0) s.status = c.refused_with;
  if (c.server_status.has_value()) s.status = static_cast<int>(*c.server_status);
  s.answers = static_cast<int>(c.upstream_requests.value_or(1));
  s.breaks = c.server_breaks;
  return s;
}

std::string answer_to(uint16_t port, std::string_view bytes) {
  RawClient client(port);
  // The server may have refused and closed already: what it answered still counts.
  (void)!::send(client.descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  client.end();
  return client.read_all();
}

int count(std::string_view text, std::string_view part) {
  int n = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) n++;
  return n;
}

void check_answer(const Sent& s, const std::string& answer) {
  const std::string status_line = "HTTP/1.1 " + std::to_string(s.status) + " ";
  if (s.breaks) {
    EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 4")) << answer;
    return;
  }
  ASSERT_TRUE(answer.find(status_line) != std::string::npos) << "expected " << s.status << "\n" << answer;
  if (s.status >= 400) {
    EXPECT_TRUE(answer.starts_with(status_line)) << answer;
    EXPECT_EQ(count(answer, "HTTP/1.1 "), 1) << answer;
    EXPECT_EQ(count(answer, "Connection: close\r\n"), 1) << answer;
    return;
  }
  EXPECT_EQ(count(answer, status_line), s.answers) << answer;
  if (s.body.has_value() && !s.bytes.starts_with("HEAD "))
    EXPECT_TRUE(answer.ends_with("\r\n\r\n" + *s.body)) << answer;
}

class ServerCases : public testing::Test {
 protected:
  void run(const std::string& side) {
    for (const Case& c : parser_cases(side)) {
      // A tunnel needs an application that takes the upgrade.
      if (c.upgrade == true && c.refused_with == 0 && !c.server_status.has_value()) continue;
      SCOPED_TRACE(c.name);
      const Sent s = sent(c);
      check_answer(s, answer_to(server_.port, s.bytes));
    }
  }
  LiveServer server_{ServerLimits{.body_bytes_max = 1 << 20}, make_echo};
};

TEST_F(ServerCases, requests_are_answered_as_the_table_says) { run("request"); }

TEST_F(ServerCases, chunked_bodies_are_answered_as_the_table_says) { run("chunk"); }

}  // namespace
}  // namespace terrace::http

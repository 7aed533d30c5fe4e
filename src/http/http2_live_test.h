#pragma once

#include <fcntl.h>

#include <memory>
#include <string>
#include <thread>

#include "http/http2_server.h"
#include "http/live_test.h"

namespace terrace::http {

// Answers by the path: see the tests that ask for it; else with what it was asked,
// "POST /path shop.example.com 3:abc", fields of the request after it.
class Http2Echo final : public Handler {
 public:
  Task<void> handle(Exchange& exchange) override {
    ++handled;
    const RequestHead& request = exchange.request();
    if (request.fields.value(HeaderId::kUpgrade) == "websocket") co_return co_await tunnel(exchange);
    if (request.path == "/large") co_return co_await large(exchange);
    if (request.path == "/file") co_return co_await file(exchange);
    if (request.path == "/hang") {
      const Result<std::string_view> piece = co_await exchange.read_body();
      last_error = piece ? "" : piece.error().text;
      ++hung;
      co_return;
    }
    if (request.path == "/elsewhere" && exchange.give_back()) co_return;
    if (request.path == "/unread") {
      ResponseHead head;
      (void)co_await exchange.respond(head, "not read");
      co_return;
    }
    std::string body;
    for (;;) {
      const Result<std::string_view> piece = co_await exchange.read_body();
      if (!piece) {
        last_error = piece.error().text;
        ResponseHead bad;
        bad.status = piece.error().code == Code::kLimit ? 413 : 400;
        (void)co_await exchange.respond(bad, piece.error().text);
        ++failed;
        co_return;
      }
      if (piece->empty()) break;
      body.append(*piece);
    }
    ++complete;
    if (request.path != "/silent") co_await answer(exchange, body);
  }
  void refused(int, const char*, const net::Peer&) override {}
  std::string_view error_page(int) override { return "error page"; }

  std::atomic<int> handled = 0;
  std::atomic<int> hung = 0;
  std::atomic<int> failed = 0;
  std::atomic<int> complete = 0;
  std::string last_error;

 private:
  Task<void> answer(Exchange& exchange, const std::string& body) {
    const RequestHead& request = exchange.request();
    std::string text(request.method_text);
    text += " " + std::string(request.target) + " " + std::string(request.authority);
    text += " " + std::to_string(body.size()) + ":" + body.substr(0, 100);
    for (const Field& field : request.fields) {
      text += "\n" + std::string(field.name) + ": " + std::string(field.value);
    }
    ResponseHead head;
    head.status = request.path == "/204" ? 204 : 200;
    head.fields.add({"Content-Type", "text/plain", HeaderId::kContentType, false});
    const std::string id = std::to_string(handled);
    if (request.path == "/id") head.fields.add({"X-Request-Id", id, HeaderId::kXRequestId, false});
    if (request.path == "/pieces") {
      exchange.begin(head, std::nullopt);
      (void)co_await exchange.write(text);
      (void)co_await exchange.write_last("!");
    } else if (request.path == "/short") {
      exchange.begin(head, 100);
      (void)co_await exchange.write("only this");
    } else {
      (void)co_await exchange.respond(head, text);
    }
  }
  Task<void> large(Exchange& exchange) {
    const std::string bytes(3 << 20, 'x');
    ResponseHead head;
    const Result<void> sent = co_await exchange.respond(head, bytes);
    if (!sent) ++failed;
  }
  Task<void> file(Exchange& exchange) {
    const Descriptor self(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    ResponseHead head;
    exchange.begin(head, 100'000);
    (void)co_await exchange.send_file(self.get(), 10, 100'000);
    (void)co_await exchange.finish();
  }
  // Says back what it is told, in capitals of the protocol's name.
  Task<void> tunnel(Exchange& exchange) {
    ResponseHead head;
    head.status = 101;
    head.fields.add(
        {"Upgrade", exchange.request().fields.value(HeaderId::kUpgrade), HeaderId::kUpgrade, true});
    head.fields.add({"Sec-WebSocket-Accept", "yes", HeaderId::kOther, false});
    exchange.begin(head, std::nullopt);
    (void)co_await exchange.flush();
    for (;;) {
      const Result<std::string_view> piece = co_await exchange.read_body();
      if (!piece || piece->empty()) break;
      const std::string said = "<" + std::string(*piece) + ">";
      (void)co_await exchange.write(said);
    }
    (void)co_await exchange.finish();
  }
};

// A server of HTTP/2 in the clear on a thread of its own.
class LiveHttp2Server {
 public:
  explicit LiveHttp2Server(const Http2Server::Limits& limits) : LiveHttp2Server(limits, nullptr) {}
  // With a handler of the caller's, which outlives it.
  LiveHttp2Server(const Http2Server::Limits& limits, Handler* handler)
      : reactor_(Reactor::create(clock_, {}).value()),
        server_(*reactor_, handler != nullptr ? *handler : echo, limits, log_) {
    FreePort free;
    port = free.port;
    listener_ = std::make_unique<net::Listener>(*reactor_, std::move(free.socket), server_, log_);
    EXPECT_TRUE(listener_->start());
    thread_ = std::thread([this] { reactor_->run(); });
  }
  ~LiveHttp2Server() {
    submit(*reactor_, [this] { scope_.spawn(stop()); });
    thread_.join();
    EXPECT_EQ(reactor_->buffers().in_use(), 0u);
  }
  Http2Server& server() { return server_; }
  Reactor& reactor() { return *reactor_; }
  // How many drains have come to their end.
  int drained() const { return ended_; }
  // Says GOAWAY, and waits for the streams.
  void drain(Duration limit) {
    submit(*reactor_, [this, limit] { scope_.spawn(drain_now(limit)); });
  }
  uint16_t port = 0;
  Http2Echo echo;

 private:
  Task<void> drain_now(Duration limit) {
    co_await server_.drain(limit);
    ++ended_;
  }
  Task<void> stop() {
    co_await listener_->close();
    co_await drain_now(std::chrono::milliseconds(50));
    while (scope_.running() > 1) co_await yield(*reactor_);
    reactor_->stop();
  }
  SystemClock clock_;
  Log log_{"test", LogLevel::kError};
  std::unique_ptr<Reactor> reactor_;
  Http2Server server_;
  std::unique_ptr<net::Listener> listener_;
  std::atomic<int> ended_ = 0;
  Scope scope_;
  std::thread thread_;
};

}  // namespace terrace::http

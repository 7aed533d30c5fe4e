// A server of HTTP/2 alone, for clients that are not ours (tests/system/test_http2.py):
// prints its port, and serves until its input ends. GET /large answers with 1 MiB, all
// else with "METHOD target bytes-of-the-body"; /count with the exchanges so far.

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>

#include "http/http2_server.h"
#include "net/listener.h"
#include "reactor/mailbox.h"

namespace terrace::http {
namespace {

class Answers final : public Handler {
 public:
  Task<void> handle(Exchange& exchange) override {
    ++exchanges_;
    size_t bytes = 0;
    for (;;) {
      const Result<std::string_view> piece = co_await exchange.read_body();
      if (!piece) co_return exchange.abort();
      if (piece->empty()) break;
      bytes += piece->size();
    }
    const RequestHead& request = exchange.request();
    std::string text = fmt::format("{} {} {}", request.method_text, request.target, bytes);
    if (request.path == "/large") text.assign(1 << 20, 'l');
    if (request.path == "/count") text = std::to_string(exchanges_);
    ResponseHead head;
    head.fields.add({"Content-Type", "text/plain", HeaderId::kContentType, false});
    (void)co_await exchange.respond(head, text);
  }
  void refused(int, const char*, const net::Peer&) override {}
  std::string_view error_page(int) override { return "refused"; }

 private:
  int exchanges_ = 0;
};

Task<void> stop(net::Listener& listener, Http2Server& server, Reactor& reactor) {
  co_await listener.close();
  co_await server.drain(std::chrono::seconds(1));
  reactor.stop();
}

int serve() {
  SystemClock clock;
  const Log log("http2_trial", LogLevel::kInfo);
  const std::unique_ptr<Reactor> reactor = Reactor::create(clock, {}).value();
  Answers answers;
  Http2Server server(*reactor, answers, {}, log);
  Descriptor socket = net::listen_on(net::Address::loopback(0)).value();
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &length);
  net::Listener listener(*reactor, std::move(socket), server, log);
  if (!listener.start()) return 1;
  fmt::print("{}\n", net::Address::from(bound, length).port());
  std::fflush(stdout);
  Scope scope;
  std::thread input([&] {
    char byte = 0;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    submit(*reactor, [&] { scope.spawn(stop(listener, server, *reactor)); });
  });
  reactor->run();
  input.join();
  return 0;
}

}  // namespace
}  // namespace terrace::http

int main() { return terrace::http::serve(); }

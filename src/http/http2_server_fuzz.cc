#include "base/log.h"
#include "http/http2_fuzz_checks.h"
#include "http/http2_server.h"
#include "http/url.h"

// The input is what a client sends after the preface and its SETTINGS. Every exchange
// that comes of it is one that a handler of HTTP/1 could have got, and none is left.

namespace terrace::http {
namespace {

// Reads all, answers with as much, and holds each head to what is promised of it.
class Checker final : public Handler {
 public:
  Task<void> handle(Exchange& exchange) override {
    const RequestHead& request = exchange.request();
    check_decoded(request.fields);
    ASSERT(request.method != Method::kConnect && request.method != Method::kTrace);
    ASSERT(request.target == "*" || request.target.starts_with('/'));
    ASSERT(is_target(request.target) && valid_authority(request.authority));
    uint64_t read = 0;
    bool whole = false;
    ResponseHead head;
    if (request.upgrade) {
      head.status = 101;
      exchange.begin(head, std::nullopt);
    }
    for (;;) {
      const Result<std::string_view> piece = co_await exchange.read_body();
      whole = piece && piece->empty();
      if (!piece || piece->empty()) break;
      read += piece->size();
      if (!request.upgrade) continue;
      const Result<void> said = co_await exchange.write(*piece);
      if (!said) break;
    }
    if (whole && request.framing == Framing::kLength) ASSERT(read == request.content_length);
    if (whole && request.framing == Framing::kNone && !request.upgrade) ASSERT(read == 0);
    if (request.upgrade) {
      (void)co_await exchange.finish();
    } else {
      (void)co_await exchange.respond(head, request.target);
    }
  }
  void refused(int status, const char*, const net::Peer&) override { ASSERT(status >= 400); }
  std::string_view error_page(int) override { return "refused"; }
};

struct World {
  World() {
    Http2Server::Limits limits;
    limits.connection.streams_max = 8;
    limits.exchange.body_bytes_max = 1000;
    server = std::make_unique<Http2Server>(*reactor, handler, limits, log);
    scope.spawn(spin(*reactor));
  }
  SteppingClock clock;
  Log log{"fuzz", LogLevel::kError};
  std::unique_ptr<Reactor> reactor = Reactor::create(clock, {}).value();
  Checker handler;
  std::unique_ptr<Http2Server> server;
  Scope scope;
};

void serve(std::string_view bytes) {
  static World* const world = new World();
  SocketPair pair;
  pair.say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  pair.say(std::string_view("\0\0\0\x04\0\0\0\0\0", 9));
  pair.say(bytes);
  pair.end();
  world->server->accepted(std::move(pair.ours), {});
  const bool never = false;
  for (int turns = 0; world->server->connections() > 0; ++turns) {
    ASSERT(turns < 10'000);
    (void)world->reactor->run_until(never, std::chrono::milliseconds(10));
    pair.hear();
  }
  ASSERT(world->reactor->buffers().in_use() == 0);
}

}  // namespace
}  // namespace terrace::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  terrace::http::serve({reinterpret_cast<const char*>(data), size});
  return 0;
}

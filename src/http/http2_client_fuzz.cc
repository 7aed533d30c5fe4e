#include "http/http2_client.h"
#include "http/http2_fuzz_checks.h"
#include "reactor/scope.h"

// The input is what a server sends after its SETTINGS, to a client that has asked three
// things: GET on stream 1, HEAD on 3, a POST with a body on 5. Whatever it is, each
// request ends, with an answer that keeps its word or with an error.

namespace terrace::http {
namespace {

using namespace std::chrono_literals;

struct World {
  World() { scope.spawn(spin(*reactor)); }
  SteppingClock clock;
  std::unique_ptr<Reactor> reactor = Reactor::create(clock, {}).value();
  Scope scope;
};

Task<void> speak(Http2ClientConnection& connection) { (void)co_await connection.run(); }

void check_answer(const Http2ClientRequest& request, Method method, uint64_t read) {
  const ResponseHead& head = request.head();
  const bool forbidden = method == Method::kHead || head.status == 204 || head.status == 304;
  ASSERT(head.status >= 200 && head.status < 600);
  if (forbidden) ASSERT(read == 0);
  if (head.framing == Framing::kLength) ASSERT(read == head.content_length);
}

Task<void> ask(Http2ClientConnection& connection, Method method, std::string_view method_text,
               std::string_view body) {
  Reactor& reactor = connection.reactor();
  RequestHead head;
  head.method = method;
  head.method_text = method_text;
  head.target = "/";
  head.authority = "shop.example.com";
  if (!body.empty()) head.framing = Framing::kChunked;
  Http2ClientRequest request(reactor);
  const Result<void> started = request.start(connection, {.head = head, .scheme = "http"});
  ASSERT(started);
  if (!body.empty()) {
    const Result<void> sent = co_await request.write_last(body, 1h);
    if (!sent) co_return;
  }
  const Result<void> answered = co_await request.read_head(reactor.now() + 1h);
  if (!answered) co_return;
  check_decoded(request.head().fields);
  for (uint64_t read = 0;;) {
    const Result<std::string_view> piece = co_await request.read_body(1h);
    if (!piece) co_return;
    read += piece->size();
    if (piece->empty()) co_return check_answer(request, method, read);
  }
}

void answer(std::string_view bytes) {
  static World* const world = new World();
  SocketPair pair;
  Http2Limits limits;
  Http2ClientConnection connection(*world->reactor, limits);
  ASSERT(connection.stream().open(*world->reactor, std::move(pair.ours)));
  Scope scope;
  scope.spawn(speak(connection));
  scope.spawn(ask(connection, Method::kGet, "GET", ""));
  scope.spawn(ask(connection, Method::kHead, "HEAD", ""));
  scope.spawn(ask(connection, Method::kPost, "POST", "body"));
  const bool never = false;
  (void)world->reactor->run_until(never, 20ms);
  pair.say(std::string_view("\0\0\0\x04\0\0\0\0\0", 9));
  pair.say(bytes);
  pair.end();
  for (int turns = 0; scope.running() > 0; ++turns) {
    ASSERT(turns < 10'000);
    (void)world->reactor->run_until(never, 10ms);
    pair.hear();
  }
  ASSERT(world->reactor->buffers().in_use() == 0);
}

}  // namespace
}  // namespace terrace::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  terrace::http::answer({reinterpret_cast<const char*>(data), size});
  return 0;
}

#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <semaphore>

#include "http/http2_live_test.h"
#include "http/relay.h"
#include "http/scripted_backend_test.h"
#include "http/upstream_head.h"

// For tests: a handler that makes one try with one backend, over either kind of request.

namespace terrace::http {

// How one exchange ended.
struct Ended {
  RelayEnd end = RelayEnd::kDone;
  Code code = Code::kSystem;
  int status = 0;
  bool timed = false;  // the moment of the head is known
  bool begun = false;
  bool repeatable = false;
  bool body_taken = false;
  bool upload_done = false;
  bool answered = false;
  bool unprocessed = false;  // HTTP/2
};

class Endings {
 public:
  void put(const Ended& ended) {
    const std::lock_guard lock(mutex_);
    endings_.push_back(ended);
    changed_.notify_all();
  }
  // The next one, waited for with a deadline.
  Ended next() {
    std::unique_lock lock(mutex_);
    const bool there = changed_.wait_for(lock, std::chrono::seconds(5), [this] { return !endings_.empty(); });
    EXPECT_TRUE(there);
    if (!there) return {};
    const Ended ended = endings_.front();
    endings_.pop_front();
    return ended;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Ended> endings_;
};

// What a front reports; outlives it.
struct FrontReport {
  Endings endings;
  Gauge tunnels;
};

struct FrontOptions {
  uint16_t port = 0;  // of the backend
  FrontReport& report;
  RelayOptions relay;
  Http2Limits hop = Http2Limits::between_our_servers();
};

class RelayFront : public Handler {
 public:
  explicit RelayFront(const FrontOptions& options) : options_(options) {}
  void refused(int, const char*, const net::Peer&) override {}
  std::string_view error_page(int) override { return "refused"; }

 protected:
  // Takes the end down, and answers where the backend did not.
  template <class Request>
  Task<void> conclude(Exchange& exchange, const Relay<Request>& relay, Ended ended) {
    ended.code = relay.error().code;
    ended.status = relay.status();
    ended.timed = relay.head_at() != Time();
    ended.begun = exchange.begun();
    ended.repeatable = relay.repeatable();
    ended.body_taken = relay.body_taken();
    ended.upload_done = relay.upload_done();
    options_.report.endings.put(ended);
    if (ended.end == RelayEnd::kDone) co_return;
    if (ended.begun || ended.end == RelayEnd::kClientGone) {
      exchange.abort();
      co_return;
    }
    ResponseHead head;
    head.status = ended.end == RelayEnd::kBroken ? 502 : relay_body_status(relay.error());
    (void)co_await exchange.respond(head, "of the front");
  }
  RelayOptions relay_options() {
    RelayOptions options = options_.relay;
    options.tunnels = &options_.report.tunnels;
    return options;
  }

  FrontOptions options_;
  const std::array<Field, 1> fields_ = {Field{"X-Added", "by the front", HeaderId::kOther, false}};
};

class Http1Front final : public RelayFront {
 public:
  using RelayFront::RelayFront;
  Task<void> handle(Exchange& exchange) override {
    Reactor& reactor = exchange.reactor();
    const RequestHead& request = exchange.request();
    const RelayOptions options = relay_options();
    const net::Address backend = net::Address::loopback(options_.port);
    ClientConnection connection(reactor, {});
    EXPECT_TRUE(co_await connection.connect(backend, reactor.now() + std::chrono::seconds(1)));
    Buffer buffer = reactor.buffers().take();
    const UpstreamContext context{.peer = exchange.peer(), .scheme = "http", .request_id = "id"};
    const std::string_view head = write_upstream_head(request, context, {buffer.data(), Buffer::size()});
    connection.start(request.method, request.framing);
    Relay<ClientConnection> relay(reactor, exchange, connection, options, fields_, &buffer);
    const Result<void> sent = co_await connection.write_head(head, options.progress_max);
    Ended ended;
    if (sent) {
      ended.end = co_await relay.run();
    } else {
      ended.end = relay.failed(sent.error());
    }
    ended.answered = connection.answered();
    co_await conclude(exchange, relay, ended);
  }
};

class Http2Front : public RelayFront {
 public:
  using RelayFront::RelayFront;
  Task<void> handle(Exchange& exchange) override {
    Reactor& reactor = exchange.reactor();
    const net::Address backend = net::Address::loopback(options_.port);
    Http2ClientConnection connection(reactor, options_.hop);
    EXPECT_TRUE(
        co_await connection.stream().connect(reactor, backend, reactor.now() + std::chrono::seconds(1)));
    Scope scope;
    scope.spawn(speak(connection));
    while (exchange.request().upgrade && !connection.takes_tunnels()) co_await yield(reactor);
    co_await relay(exchange, connection);
    connection.drain();
    co_await scope.join();
  }

 protected:
  static Task<void> speak(Http2ClientConnection& connection) { (void)co_await connection.run(); }
  Task<void> relay(Exchange& exchange, Http2ClientConnection& connection) {
    const RelayOptions options = relay_options();
    Http2ClientRequest request(exchange.reactor());
    EXPECT_TRUE(request.start(connection, {.head = exchange.request(), .scheme = "http"}));
    Relay<Http2ClientRequest> relay(exchange.reactor(), exchange, request, options, fields_);
    Ended ended;
    ended.end = co_await relay.run();
    ended.answered = request.answered();
    ended.unprocessed = request.unprocessed();
    co_await conclude(exchange, relay, ended);
  }
};

// The kinds that a test runs with.
struct OverHttp1 {
  using Front = Http1Front;
  using Connection = ScriptedHttp1;
};
struct OverHttp2 {
  using Front = Http2Front;
  using Connection = ScriptedHttp2;
};

inline constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

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
  static RelayOptions patient() {
    return {.response_timeout = std::chrono::seconds(5), .progress_max = std::chrono::seconds(5)};
  }
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
    const Ended how = ended();
    // What the script refers to may end now.
    server_.reset();
    backend_.reset();
    return how;
  }
  Ended ended() { return report_.endings.next(); }

  FrontReport report_;
  std::string answer_;
  std::counting_semaphore<> go_{0};  // the script may go on
  std::unique_ptr<ScriptedBackend<Connection>> backend_;
  std::unique_ptr<LiveServer> server_;
};

}  // namespace terrace::http

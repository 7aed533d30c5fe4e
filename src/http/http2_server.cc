#include "http/http2_server.h"

#include <utility>

namespace terrace::http {
namespace {

// Exchanges kept for the next burst.
constexpr size_t kExchangesKept = 1024;
// Log lines about refused peers, per second; more are counted.
constexpr int kRefusalLinesMax = 10;
// How often it is said that handshakes which do not end are given up for others.
constexpr Duration kCrowdedOutLine = std::chrono::seconds(60);

}  // namespace

Http2Connection::Http2Connection(Http2Server& server, const net::Peer& peer)
    : Http2Session(server.reactor(), Side::kServer, server.limits().connection),
      server_(server),
      peer_(peer) {
  next_ = server.first_;
  if (next_ != nullptr) next_->previous_ = this;
  server.first_ = this;
  ++server.connections_;
  server.metrics_.connections.add();
  server.metrics_.connections_open.add();
}

Http2Connection::~Http2Connection() {
  (previous_ != nullptr ? previous_->next_ : server_.first_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  --server_.connections_;
  server_.metrics_.connections_open.subtract();
}

// A stream's end leaves before its handler is back, so some more may run than are open.
Http2Stream* Http2Connection::stream_begins() {
  if (exchanges_.size() >= 2 * static_cast<size_t>(limits().streams_max)) return nullptr;
  Http2Exchange* exchange = server_.take_exchange(*this);
  exchange->place_ = exchanges_.size();
  exchanges_.push_back(exchange);
  return exchange;
}

Task<Result<void>> Http2Connection::encrypt() {
  if (!server_.tls_) co_return Result<void>();
  from = peer_.ip;
  expected = server_.admission_ != nullptr && server_.admission_->expects(from);
  server_.handshakes_.add(*this);
  const Time deadline = reactor().now() + server_.limits().handshake_timeout;
  const Result<void> encrypted = co_await stream().start_tls(server_.tls_, {}, deadline);
  server_.handshakes_.remove(*this);
  co_return encrypted ? admit() : encrypted;
}

Result<void> Http2Connection::admit() {
  const char* why =
      server_.admission_ != nullptr ? server_.admission_->refusal_of(stream().peer_certificate()) : nullptr;
  return why == nullptr ? Result<void>() : fail(Code::kInvalid, "peer certificate", why);
}

Task<void> Http2Connection::serve() {
  const Result<void> encrypted = co_await encrypt();
  if (!encrypted && crowded_out) {
    server_.note_crowded_out(peer_);
    co_return;
  }
  if (!encrypted) {
    server_.say_refused(peer_, encrypted.error());
    co_return;
  }
  ++server_.spoken_with_;
  const Result<void> ended = co_await converse();
  --server_.spoken_with_;
  const bool broken = !ended && (ended.error().code == Code::kInvalid || ended.error().code == Code::kLimit);
  if (broken) {
    server_.metrics_.broken.add();
    server_.log_.info("a connection was given up", {{"error", describe(ended.error())}});
  }
  for (Http2Exchange* exchange : exchanges_) exchange->give_up();
  input_read();  // what ended with its head unread goes back to the pool
  co_await handlers_.join();
}

void Http2Connection::give_up() {
  for (Http2Exchange* exchange : exchanges_) exchange->give_up();
  cancel();
}

// Handlers start here and not while nghttp2 reads: they may say something at once, and
// use the reactor's scratch area, where the input is.
void Http2Connection::input_read() {
  for (Http2Exchange*& exchange : ready_) {
    // Reset by its client before anything was done for it.
    if (!exchange->attached()) dropped_.push_back(std::exchange(exchange, nullptr));
  }
  for (Http2Exchange* exchange : dropped_) {
    give_back(*exchange);
  }
  dropped_.clear();
  for (Http2Exchange* exchange : ready_) {
    if (exchange != nullptr) handlers_.spawn(run(*exchange));
  }
  ready_.clear();
}

Task<void> Http2Connection::run(Http2Exchange& exchange) {
  server_.metrics_.exchanges.add();
  if (exchange.refused()) {
    co_await exchange.refuse();
  } else {
    co_await server_.handler().handle(exchange);
  }
  co_await exchange.conclude();
  give_back(exchange);
}

void Http2Connection::give_back(Http2Exchange& exchange) {
  Http2Exchange* last = exchanges_.back();
  exchanges_[exchange.place_] = last;
  last->place_ = exchange.place_;
  exchanges_.pop_back();
  server_.give_back(&exchange);
}

Http2Server::Http2Server(Reactor& reactor, Handler& handler, const Limits& limits, const Log& log)
    : reactor_(reactor), handler_(handler), limits_(limits), log_(log) {
  handshakes_.set_limits(limits.handshakes);
  exchanges_.reserve(kExchangesKept);
}

Http2Server::~Http2Server() = default;

void Http2Server::set_limits(const Limits& limits) {
  limits_ = limits;
  handshakes_.set_limits(limits.handshakes);
}

void Http2Server::accepted(Descriptor socket, const net::Peer& peer) {
  if (spoken_with_ >= limits_.exchange.connections_max || draining_) {
    metrics_.connections_refused.add();
    return;
  }
  auto connection = std::make_unique<Http2Connection>(*this, peer);
  const Result<void> opened = connection->stream().open(reactor_, std::move(socket));
  if (!opened) {
    log_.error("cannot watch a connection", {{"error", describe(opened.error())}});
    return;
  }
  if (closing_) connection->drain();
  scope_.spawn(serve(std::move(connection)));
}

Task<void> Http2Server::serve(std::unique_ptr<Http2Connection> connection) {
  co_await connection->serve();
  connection.reset();
  if (scope_.running() > 1) co_return;
  for (const std::coroutine_handle<> waiting : std::exchange(waiting_, {})) reactor_.resume_later(waiting);
}

// A flood of strangers must not fill the disk.
void Http2Server::say_refused(const net::Peer& peer, const Error& why) {
  metrics_.connections_refused.add();
  const Time now = reactor_.now();
  if (now - refusals_since_ >= std::chrono::seconds(1)) {
    if (refusals_ > kRefusalLinesMax)
      log_.warning("more connections were refused", {{"count", refusals_ - kRefusalLinesMax}});
    refusals_since_ = now;
    refusals_ = 0;
  }
  if (++refusals_ > kRefusalLinesMax) return;
  char from[64];
  log_.warning("a connection was refused", {{"from", peer.ip.print(from)}, {"why", describe(why)}});
}

void Http2Server::note_crowded_out(const net::Peer& peer) {
  metrics_.connections_refused.add();
  metrics_.handshakes_crowded_out.add();
  const Time now = reactor_.now();
  if (crowded_out_said_ > 0 && now - crowded_out_said_at_ < kCrowdedOutLine) return;
  const uint64_t count = metrics_.handshakes_crowded_out.get() - crowded_out_said_;
  crowded_out_said_ += count;
  crowded_out_said_at_ = now;
  char from[64];
  log_.warning("too many handshakes do not end; the oldest are given up for others",
               {{"from", peer.ip.print(from)}, {"count", static_cast<int64_t>(count)}});
}

void Http2Server::admit_again() {
  for (Http2Connection* connection = first_; connection != nullptr; connection = connection->next_) {
    // During the handshake it has shown nothing yet, and is asked afterwards.
    if (connection->stream().peer_certificate().empty()) continue;
    const Result<void> admitted = connection->admit();
    if (admitted) continue;
    say_refused(connection->peer_, admitted.error());
    connection->give_up();
  }
}

Http2Exchange* Http2Server::take_exchange(Http2Connection& connection) {
  std::unique_ptr<Http2Exchange> exchange;
  if (exchanges_.empty()) {
    ++exchanges_made_;
    exchange = std::make_unique<Http2Exchange>();
  } else {
    exchange = std::move(exchanges_.back());
    exchanges_.pop_back();
  }
  exchange->start(connection);
  return exchange.release();
}

void Http2Server::give_back(Http2Exchange* exchange) {
  std::unique_ptr<Http2Exchange> owned(exchange);
  owned->end();
  if (exchanges_.size() < kExchangesKept) exchanges_.push_back(std::move(owned));
}

void Http2Server::give_up_all() {
  for (Http2Connection* connection = first_; connection != nullptr; connection = connection->next_) {
    connection->give_up();
  }
}

void Http2Server::drain_connections() {
  for (Http2Connection* connection = first_; connection != nullptr; connection = connection->next_) {
    connection->drain();
  }
}

void Http2Server::set_closing(bool closing) {
  closing_ = closing;
  if (closing) drain_connections();
}

void Http2Server::hasten(Duration limit) { reactor_.timers().arm(drain_limit_, reactor_.now() + limit); }

Task<void> Http2Server::drain(Duration limit) {
  draining_ = true;
  hasten(limit);
  drain_connections();
  co_await Ended{*this};
  drain_limit_.disarm();
}

}  // namespace terrace::http

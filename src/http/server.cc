#include "http/server.h"

#include "http/connection.h"
#include "http/http1_exchange.h"

namespace terrace::http {
namespace {

// Exchanges kept for the next burst.
constexpr size_t kExchangesKept = 1024;

constexpr std::string_view kFull =
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";

}  // namespace

bool is_too_slow(const ServerLimits& limits, uint64_t bytes, Duration waited) {
  const double seconds = std::chrono::duration<double>(waited).count();
  return waited > limits.rate_grace &&
         static_cast<double>(bytes) < static_cast<double>(limits.rate_min) * seconds;
}

Server::Server(Reactor& reactor, Handler& handler, const ServerLimits& limits, const Log& log)
    : reactor_(reactor), handler_(handler), limits_(limits), log_(log) {
  exchanges_.reserve(kExchangesKept);
}

Server::~Server() = default;

std::string_view Server::date() { return date_.text(reactor_.now(), reactor_.clock()); }

void Server::accepted(Descriptor socket, const net::Peer& peer) {
  if (connections_ >= limits_.connections_max || draining()) {
    metrics_.connections_refused.add();
    net::Stream stream;
    if (stream.open(reactor_, std::move(socket))) (void)stream.write_now(kFull);
    return;
  }
  auto connection = std::make_unique<Connection>(*this, peer);
  const Result<void> opened = connection->open(std::move(socket));
  if (!opened) {
    log_.error("cannot watch a connection", {{"error", describe(opened.error())}});
    return;
  }
  scope_.spawn(serve(std::move(connection)));
}

Task<void> Server::serve(std::unique_ptr<Connection> connection) { co_await connection->serve(); }

Http1Exchange* Server::take_exchange(Connection& connection) {
  std::unique_ptr<Http1Exchange> exchange;
  if (exchanges_.empty()) {
    ++exchanges_made_;
    exchange = std::make_unique<Http1Exchange>();
  } else {
    exchange = std::move(exchanges_.back());
    exchanges_.pop_back();
  }
  exchange->start(connection);
  return exchange.release();
}

void Server::give_back(Http1Exchange* exchange) {
  std::unique_ptr<Http1Exchange> owned(exchange);
  owned->end();
  if (exchanges_.size() < kExchangesKept) exchanges_.push_back(std::move(owned));
}

void Server::cancel_all(bool idle_only) {
  for (Connection* connection = first_; connection != nullptr; connection = connection->next_) {
    if (!idle_only || connection->idle()) connection->cancel();
  }
}

void Server::end_idle() {
  draining_ = Draining::kNow;
  cancel_all(true);
}

Task<void> Server::drain(Duration idle, Duration limit) {
  draining_ = Draining::kIdleMayAsk;
  reactor_.timers().arm(drain_limit_, reactor_.now() + limit);
  if (idle > Duration::zero()) {
    reactor_.timers().arm(idle_limit_, reactor_.now() + idle);
  } else {
    end_idle();
  }
  co_await scope_.join();
  idle_limit_.disarm();
  drain_limit_.disarm();
}

void Server::hasten(Duration limit) {
  idle_limit_.disarm();
  end_idle();
  reactor_.timers().arm(drain_limit_, reactor_.now() + limit);
}

}  // namespace terrace::http

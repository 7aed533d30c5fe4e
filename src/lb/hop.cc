#include "lb/hop.h"

#include <algorithm>

namespace terrace::lb {
namespace {

// All connections are full: one of their requests ends somewhere in between.
constexpr Duration kFullPause = std::chrono::milliseconds(5);
constexpr Duration kLook = std::chrono::milliseconds(20);

// A certificate that has ended meanwhile is no reason: the connection is not used again, and
// what it carries may come to its end.
bool is_refused(const net::TlsContext* by, const http::Http2ClientConnection& connection) {
  if (by == nullptr) return true;
  const auto refused = by->refusal_of(connection.stream().peer_certificate());
  return refused && refused->alert != net::TlsAlert::kExpired;
}

}  // namespace

struct Hop::Connection {
  Connection(Reactor& reactor, const Options& of) : address(of.address), http2(reactor, of.limits) {}
  net::Address address;
  http::Http2ClientConnection http2;
};

Hop::Hop(Reactor& reactor, std::string server)
    : reactor_(reactor), server_(std::move(server)), changed_(reactor) {}

void Hop::set_options(const Options& options) {
  const bool moved = options.address.print() != options_.address.print();
  const bool other_tls = options.tls != options_.tls;
  options_ = options;
  for (Connection* one : connections_) {
    // What we have shown on it may end soon: the next requests go where the new one was.
    if (moved || other_tls) one->http2.drain();
    if (other_tls && is_refused(options.tls.get(), one->http2)) one->http2.cancel();
  }
  if (!moved && !other_tls) return;
  for (Connection* one : begun_) one->http2.cancel();
}

http::Http2ClientConnection* Hop::ready(bool tunnel) const {
  for (Connection* one : connections_) {
    if (one->http2.takes_requests() && (!tunnel || one->http2.takes_tunnels())) return &one->http2;
  }
  return nullptr;
}

bool Hop::may_connect() const {
  const auto in_use = std::ranges::count_if(connections_, [](Connection* one) { return !one->http2.gone(); });
  return begun_.empty() && static_cast<size_t>(in_use) < kConnectionsMax;
}

Task<Result<http::Http2ClientConnection*>> Hop::reach(bool tunnel, Time deadline) {
  const uint64_t failures = failures_;
  for (;;) {
    if (http::Http2ClientConnection* const one = ready(tunnel)) co_return one;
    if (failures_ != failures) co_return std::unexpected(failure_);
    if (closing_) co_return fail(Code::kUnavailable, "hop", "the server is no backend any more");
    if (options_.tls == nullptr)
      co_return fail(Code::kUnavailable, "hop", "this server has no certificate yet");
    if (reactor_.now() >= deadline) co_return fail(Code::kTimeout, "hop");
    // Whether a new connection takes tunnels is said by its peer's SETTINGS, a moment later.
    const bool greets = tunnel && std::ranges::any_of(connections_, [](Connection* one) {
                          return one->http2.takes_requests() && !one->http2.takes_tunnels();
                        });
    if (may_connect() && !greets) scope_.spawn(speak(std::make_unique<Connection>(reactor_, options_)));
    if (failures_ != failures) continue;
    changed_.reset();
    const Time look = begun_.empty() ? reactor_.now() + kFullPause : deadline;
    (void)co_await changed_.wait_until(std::min(look, deadline));
  }
}

Task<void> Hop::speak(std::unique_ptr<Connection> connection) {
  begun_.push_back(connection.get());
  http::Http2ClientConnection& http2 = connection->http2;
  const Time deadline = reactor_.now() + options_.connect_timeout;
  const std::shared_ptr<const net::TlsContext> tls = options_.tls;
  Result<void> done = co_await http2.stream().connect(reactor_, connection->address, deadline);
  if (done) done = co_await http2.stream().start_tls(tls, server_, deadline);
  std::erase(begun_, connection.get());
  if (done && !closing_) {
    connections_.push_back(connection.get());
    // It becomes ready with the first turn of run(), before whoever is woken here looks.
    changed_.set();
    done = co_await http2.run();
    std::erase(connections_, connection.get());
    changed_.set();
    co_return;
  }
  if (done) done = fail(Code::kCancelled, "hop");
  ++failures_;
  failure_ = done.error();
  changed_.set();
  http2.stream().close();
}

int Hop::requests() const {
  int sum = 0;
  for (const Connection* one : connections_) sum += one->http2.requests();
  return sum;
}

void Hop::drain() {
  closing_ = true;
  for (Connection* one : begun_) one->http2.cancel();
  for (Connection* one : connections_) one->http2.drain();
  changed_.set();
}

Task<void> Hop::close(Duration limit) {
  drain();
  const Time end = reactor_.now() + limit;
  while (!connections_.empty() && reactor_.now() < end) co_await sleep(reactor_, kLook);
  for (Connection* one : connections_) one->http2.cancel();
  co_await scope_.join();
}

}  // namespace terrace::lb

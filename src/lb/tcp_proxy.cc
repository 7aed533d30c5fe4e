#include "lb/tcp_proxy.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <optional>

namespace terrace::lb {
namespace {

using Kind = Balancer::Outcome::Kind;

// Pieces relayed in a row before others get their turn.
constexpr int kPiecesQuota = 16;

// Where the client connected to.
net::Peer own_end(const net::Stream& stream) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(stream.descriptor(), reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return net::Address::from(storage, length).peer();
}

}  // namespace

struct TcpProxy::Connection {
  Connection(TcpProxy& owner, const net::Peer& from) : proxy(owner), peer(from), next(owner.first_) {
    if (next != nullptr) next->previous = this;
    owner.first_ = this;
    ++owner.connections_;
    owner.metrics_.connections_open.add();
  }
  ~Connection() {
    (previous != nullptr ? previous->next : proxy.first_) = next;
    if (next != nullptr) next->previous = previous;
    --proxy.connections_;
    proxy.metrics_.connections_open.subtract();
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void cancel() {
    client.cancel();
    backend->cancel();
  }

  TcpProxy& proxy;
  net::Peer peer;
  net::ProxyHeader header;  // what the backend is told
  net::Stream client;
  // Another for each try: a stream connects once.
  std::unique_ptr<net::Stream> backend = std::make_unique<net::Stream>();
  Balancer::Place place;
  Duration connect_time{0};
  Time used;  // when a byte last went through, either way
  Connection* next;
  Connection* previous = nullptr;
};

TcpProxy::TcpProxy(Reactor& reactor, Dispatch& dispatch, const TcpProxyOptions& options, const Log& log)
    : reactor_(reactor), dispatch_(dispatch), options_(options), log_(log) {}

void TcpProxy::accepted(Descriptor socket, const net::Peer& peer) {
  metrics_.connections.add();
  if (connections_ >= options_.connections_max) {
    metrics_.refused.add();
    return;
  }
  auto connection = std::make_unique<Connection>(*this, peer);
  const Result<void> opened = connection->client.open(reactor_, std::move(socket));
  if (!opened) {
    log_.error("cannot watch a connection", {{"error", describe(opened.error())}});
    return;
  }
  scope_.spawn(serve(std::move(connection)));
}

Task<void> TcpProxy::serve(std::unique_ptr<Connection> connection) {
  const Result<void> known = co_await learn_client(*connection);
  if (!known) {
    metrics_.refused.add();
    connection->client.abort();
    co_return;
  }
  const Result<void> reached = co_await reach_backend(*connection);
  if (!reached) {
    metrics_.unserved.add();
    connection->client.abort();
    co_return;
  }
  co_await relay(*connection);
  dispatch_.finish(connection->place,
                   {.kind = Kind::kAnswered, .status = 200, .latency = connection->connect_time});
}

bool TcpProxy::from_proxy(const net::Peer& peer) const {
  return std::ranges::any_of(options_.proxy_from,
                             [&](const net::Network& network) { return network.contains(peer.ip); });
}

Task<Result<void>> TcpProxy::learn_client(Connection& connection) {
  connection.header = {.source = connection.peer, .destination = own_end(connection.client)};
  if (!from_proxy(connection.peer)) co_return Result<void>();
  const Result<net::ProxyHeader> header =
      co_await net::receive_proxy_header(connection.client, reactor_.now() + options_.header_timeout);
  if (!header) co_return std::unexpected(header.error());
  if (!header->local) connection.header = *header;
  co_return Result<void>();
}

// Takes a place and connects, with another backend when one cannot be reached.
Task<Result<void>> TcpProxy::reach_backend(Connection& connection) {
  const Time deadline = reactor_.now() + options_.queue_timeout;
  const Key key = key_of(connection.header.source.ip);
  BackendSet tried;
  dispatch_.begin();
  for (int tries = 1;; ++tries) {
    Result<Balancer::Place> place = fail(Code::kWouldBlock, "place");
    if (const auto now = dispatch_.take(key, tried)) place = *now;
    if (!place) place = co_await dispatch_.wait(key, tried, deadline);
    if (!place) co_return std::unexpected(place.error());
    connection.place = *place;
    const auto target = targets_.find(dispatch_.balancer().name(place->position));
    Result<void> connected = fail(Code::kNotFound, "backend");
    if (target != targets_.end()) {
      const TcpTarget to = target->second;
      connected = co_await connect(connection, to);
    }
    if (connected) co_return connected;
    const bool given_up = connected.error().code == Code::kCancelled || connection.client.cancelled();
    dispatch_.finish(*place, {.kind = given_up ? Kind::kGivenUp : Kind::kRefused});
    tried.add(place->position);
    if (given_up || !dispatch_.may_try_again({.perhaps_processed = false, .tries = tries}))
      co_return connected;
  }
}

Task<Result<void>> TcpProxy::connect(Connection& connection, const TcpTarget& target) {
  const Time begun = reactor_.now();
  connection.backend = std::make_unique<net::Stream>();
  net::Stream& stream = *connection.backend;
  const Result<void> connected =
      co_await stream.connect(reactor_, target.address, begun + options_.connect_timeout);
  if (!connected) co_return connected;
  connection.connect_time = reactor_.now() - begun;
  if (!target.proxy) co_return connected;
  std::array<char, net::kProxyHeaderWrittenBytesMax> buffer;
  const size_t bytes = net::write_proxy_header(connection.header, buffer);
  const std::string_view text(buffer.data(), bytes);
  const Result<void> written = co_await stream.write_all(text, options_.connect_timeout);
  co_return written;
}

Task<void> TcpProxy::relay(Connection& connection) {
  connection.used = reactor_.now();
  Scope scope;
  scope.spawn(pump(connection, connection.client, *connection.backend, metrics_.bytes_up));
  scope.spawn(pump(connection, *connection.backend, connection.client, metrics_.bytes_down));
  co_await scope.join();
}

// What the other side did not take at once moves from the scratch area, which others use
// meanwhile, into a buffer.
Task<Result<void>> TcpProxy::write_later(std::string_view rest, net::Stream& to) {
  const Buffer buffer = reactor_.buffers().take();
  if (!buffer) co_return fail(Code::kLimit, "buffers", "no buffer is left");
  std::ranges::copy(rest, buffer.data());
  const std::string_view kept(buffer.data(), rest.size());
  const Result<void> written = co_await to.write_all(kept, options_.progress_max);
  co_return written;
}

// One direction, until its end, which is passed on, or an error, which ends the other, too.
Task<void> TcpProxy::pump(Connection& connection, net::Stream& from, net::Stream& to, Counter& bytes) {
  for (int pieces = 1;; ++pieces) {
    const std::span<char> area = reactor_.scratch().first(Buffer::size());
    const Result<size_t> read = from.read_now(area);
    if (read && *read == 0) {
      if (to.shutdown_write()) co_return;
      break;
    }
    if (!read) {
      if (read.error().code != Code::kWouldBlock) break;
      const Time deadline = connection.used + options_.idle_max;
      const Result<void> ready = co_await from.readable(deadline);
      // Silence of one direction is no reason to end it while the other is in use.
      const bool in_use = reactor_.now() < connection.used + options_.idle_max;
      if (!ready && !(ready.error().code == Code::kTimeout && in_use)) break;
      continue;
    }
    connection.used = reactor_.now();
    bytes.add(*read);
    const std::string_view piece(area.data(), *read);
    const Result<size_t> taken = to.write_now(piece);
    if (!taken && taken.error().code != Code::kWouldBlock) break;
    if (taken.value_or(0) < piece.size()) {
      const Result<void> written = co_await write_later(piece.substr(taken.value_or(0)), to);
      if (!written) break;
      connection.used = reactor_.now();
    }
    if (pieces % kPiecesQuota == 0) co_await yield(reactor_);
  }
  connection.cancel();
}

Task<void> TcpProxy::drain(Duration limit) {
  const Time deadline = reactor_.now() + limit;
  constexpr Duration kLook = std::chrono::milliseconds(20);
  while (connections_ > 0 && reactor_.now() < deadline) co_await sleep(reactor_, kLook);
  for (Connection* one = first_; one != nullptr; one = one->next) one->cancel();
  co_await scope_.join();
}

}  // namespace terrace::lb

#include "http/connection.h"

#include <poll.h>

#include <cstring>

#include "http/http1_exchange.h"

namespace terrace::http {
namespace {

// After so many requests the others get their turn, though more may be here already.
constexpr int kPipelineQuota = 32;
// After an answer to bad input: how long and how much is read and thrown away, so
// that the answer is not destroyed by a reset (RFC 9112 section 9.6).
constexpr Duration kLingerMax = std::chrono::seconds(2);
constexpr size_t kLingerBytesMax = 1 << 20;

// It can no longer be answered: the client has reset the connection, or is not reached any more.
bool is_broken(int socket) {
  pollfd asked{.fd = socket, .events = 0, .revents = 0};
  return ::poll(&asked, 1, 0) > 0 && (asked.revents & (POLLERR | POLLHUP)) != 0;
}

}  // namespace

Connection::Connection(Server& server, const net::Peer& peer) : server_(server), peer_(peer) {
  next_ = server.first_;
  if (next_ != nullptr) next_->previous_ = this;
  server.first_ = this;
  ++server.connections_;
  server.metrics_.connections.add();
  server.metrics_.connections_open.add();
}

Connection::~Connection() {
  (previous_ != nullptr ? previous_->next_ : server_.first_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  --server_.connections_;
  server_.metrics_.connections_open.subtract();
}

void Connection::cancel() {
  stream_.cancel();
  if (linked_ != nullptr) linked_->cancel();
}

void Connection::link(Cancellable* other) {
  linked_ = other;
  if (other == nullptr) return;
  if (stream_.cancelled()) other->cancel();
  Reactor& reactor = server_.reactor();
  if (!look_.armed()) reactor.timers().arm(look_, reactor.now() + kLookForClient);
}

// Stays armed between the requests of a busy connection, so that a request costs nothing.
void Connection::look_for_client() {
  if (linked_ == nullptr) return;
  if (stream_.peer_ended() && is_broken(stream_.descriptor())) return cancel();
  Reactor& reactor = server_.reactor();
  reactor.timers().arm(look_, reactor.now() + kLookForClient);
}

void Connection::compact() {
  if (begin_ == 0) return;
  std::memmove(in_.data(), in_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
}

void Connection::rewind(size_t keep) {
  if (begin_ == end_) begin_ = end_ = static_cast<uint32_t>(keep);
}

Result<size_t> Connection::fill_now() {
  if (!in_) in_ = server_.reactor().buffers().take();
  if (!in_ || end_ == Buffer::size()) return fail(Code::kLimit, "read", "no room for input");
  const Result<size_t> n = stream_.read_now({in_.data() + end_, Buffer::size() - end_});
  if (n) end_ += static_cast<uint32_t>(*n);
  return n;
}

// True once bytes of a next request are there. Holds no buffer while it waits.
Task<bool> Connection::wait_for_request() {
  const Duration limit = first_request_ ? server_.limits().head_timeout : server_.limits().idle_timeout;
  const Time deadline = server_.reactor().now() + limit;
  while (server_.takes_requests() || first_request_) {
    in_.release();
    begin_ = end_ = 0;
    idle_ = !first_request_;
    const Result<void> ready = co_await stream_.readable(deadline);
    idle_ = false;
    if (!ready) co_return false;
    const Result<size_t> n = fill_now();
    if (n) co_return *n > 0;
    if (n.error().code != Code::kWouldBlock) co_return false;
  }
  co_return false;
}

Task<void> Connection::serve() {
  int in_a_row = 0;
  for (;;) {
    if (++in_a_row % kPipelineQuota == 0) co_await yield(server_.reactor());
    if (begin_ == end_) {
      const bool waiting = co_await wait_for_request();
      if (!waiting) co_return;
    }
    first_request_ = false;
    Http1Exchange* exchange = server_.take_exchange(*this);
    const bool got = co_await exchange->read_head();
    if (got) co_await server_.handler().handle(*exchange);
    const bool again = got && co_await exchange->conclude();
    const bool lingering = exchange->wants_linger();
    server_.give_back(exchange);
    if (again) continue;
    if (lingering) co_await linger();
    co_return;
  }
}

Task<void> Connection::linger() {
  if (!stream_.shutdown_write()) co_return;
  const Time deadline = server_.reactor().now() + kLingerMax;
  size_t total = 0;
  while (total < kLingerBytesMax) {
    const Result<size_t> n = stream_.read_now(server_.reactor().scratch());
    if (n && *n == 0) co_return;
    if (n) {
      total += *n;
      continue;
    }
    if (n.error().code != Code::kWouldBlock) co_return;
    const Result<void> ready = co_await stream_.readable(deadline);
    if (!ready) co_return;
  }
}

}  // namespace terrace::http

#include "app/proxy.h"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "reactor/scope.h"

namespace terrace::app {
namespace {

using http::ClientConnection;
using http::Exchange;
using http::Framing;
using http::RequestHead;
using http::ResponseHead;
using http::UpstreamContext;

// Tries of one request before it is given up, whatever the reasons.
constexpr int kAttemptsMax = 20;
// How often a request is sent once more after an instance took it and died: as often as
// there are instances, since all may die at once, and twice at least. Without an end a
// request that kills whoever gets it would go round for ever.
constexpr size_t kResendsAtLeast = 2;
// An instance on its way out may break several connections of one request: the pooled
// one, then one that it never accepted. This many more are taken as the same death.
constexpr int kRepeatsMax = 4;
// A request that must not be sent twice takes only a connection used this recently:
// the instance will hardly be closing it just now.
constexpr Duration kFreshIdleMax = std::chrono::milliseconds(500);
constexpr Duration kBusyPause = std::chrono::milliseconds(5);
// A client that ended its side may be gone: it is waited for this long without a sign.
constexpr Duration kEndedClientMax = std::chrono::seconds(30);
// Bodies up to this length are sent before the response is awaited.
constexpr uint64_t kShortBody = 16384;
// Pieces relayed in a row before others get their turn.
constexpr int kPiecesQuota = 16;

// Not the instance's fault: its backlog is full for a moment, or we ran out of
// descriptors or memory.
bool busy(const Error& error) {
  return error.system == EAGAIN || error.system == EMFILE || error.system == ENFILE ||
         error.system == ENOBUFS;
}

int status_for_body_error(const Error& error) {
  if (error.code == Code::kLimit) return 413;
  if (error.code == Code::kTimeout) return 408;
  return 400;
}

}  // namespace

struct Proxy::Call {
  Exchange& exchange;
  std::span<const http::Field> response_fields;
  Buffer head_buffer{};
  std::string_view head{};  // of the request to the instance
  Time queue_deadline{};
  Instance* instance = nullptr;
  std::unique_ptr<ClientConnection> connection{};
  bool pooled = false;      // the connection has carried a request before
  bool body_taken = false;  // bytes of the request body are gone: it cannot be sent again
  std::vector<std::pair<uint32_t, uint32_t>> broken_by{};  // slot and generation, each once
  int repeats = 0;                                         // further breaks by these
  const Scope* upload = nullptr;  // runs while the body is on its way beside the response
  Time tunnel_used{};             // when a byte last went through, either way
  bool upload_done = true;
  std::optional<Error> upload_error{};
  Outcome outcome{};

  // Whether this instance breaks the request for the first time.
  bool note_break(uint32_t slot, uint32_t generation) {
    const std::pair by(slot, generation);
    if (std::ranges::find(broken_by, by) != broken_by.end()) return false;
    broken_by.push_back(by);
    return true;
  }
  bool repeatable() const { return exchange.request().idempotent() && !body_taken && !exchange.begun(); }
};

Task<Outcome> Proxy::handle(Exchange& exchange, UpstreamContext context,
                            std::span<const http::Field> response_fields) {
  Call call{.exchange = exchange, .response_fields = response_fields};
  call.head_buffer = reactor_.buffers().take();
  if (call.head_buffer) {
    call.head =
        http::write_upstream_head(exchange.request(), context, {call.head_buffer.data(), Buffer::size()});
  }
  if (!call.head_buffer) {
    give_up(call, 503, "no buffer is left");
    co_return call.outcome;
  }
  if (call.head.empty()) {
    give_up(call, 431, "the head does not fit with what is added to it");
    co_return call.outcome;
  }
  call.queue_deadline = reactor_.now() + options_.queue_timeout;
  bool first_in_line = backends_.waiting() == 0;
  for (int attempts = 0;;) {
    call.instance = first_in_line ? backends_.take() : nullptr;
    if (call.instance == nullptr) {
      first_in_line = co_await backends_.turn(call.queue_deadline);
      if (first_in_line) continue;
      give_up(call, 503, backends_.full() ? "the queue is full" : "no instance was free in time");
      break;
    }
    const Time begun = reactor_.now();
    const Next next = co_await attempt(call);
    call.outcome.instance = call.instance->name;
    call.outcome.release = call.instance->release;
    if (next == Next::kDone) {
      call.instance->metrics->duration.observe(reactor_.now() - begun);
      if (call.exchange.status() >= 500) call.instance->metrics->errors.add();
    }
    backends_.release(*call.instance);
    if (next == Next::kBusy) continue;
    if (next != Next::kAgain && next != Next::kPause) break;
    backends_.metrics().retries.add();
    if (++attempts == kAttemptsMax) {
      give_up(call, 502, "every attempt failed");
      break;
    }
    if (next == Next::kPause) co_await sleep(reactor_, kBusyPause);
  }
  co_return call.outcome;
}

Proxy::Next Proxy::give_up(Call& call, int status, const char* why) {
  call.outcome.why = why;
  if (call.exchange.begun()) {
    call.exchange.abort();
  } else {
    call.outcome.error_status = status;
  }
  return Next::kFailed;
}

// The connection to the instance failed. Decides whether the request may be sent again.
Proxy::Next Proxy::broken(Call& call, const Error& error) {
  if (call.upload_error) {
    if (call.upload_error->code == Code::kClosed || call.upload_error->code == Code::kCancelled)
      call.exchange.abort();
    return give_up(call, status_for_body_error(*call.upload_error), call.upload_error->text);
  }
  if (error.code == Code::kCancelled) {
    call.exchange.abort();
    return give_up(call, 503, "given up");
  }
  if (error.code == Code::kTimeout) {
    call.instance->metrics->failures.add();
    return give_up(call, 504, "the app did not answer in time");
  }
  if (error.code == Code::kInvalid || error.code == Code::kLimit) {
    call.instance->metrics->failures.add();
    return give_up(call, 502, error.text);
  }
  // An instance may close a connection that was idle just when it is used again.
  const bool blameless = call.pooled && !call.connection->answered();
  // Its other idle connections have most likely gone the same way.
  call.instance->pool.clear();
  if (!blameless) backends_.failed(*call.instance, false);
  const bool first = call.note_break(call.instance->slot, call.instance->generation);
  const size_t resends_max = std::max(kResendsAtLeast, backends_.instances().size());
  const bool again = first ? call.broken_by.size() <= resends_max : call.repeats++ < kRepeatsMax;
  if (call.repeatable() && again) return first ? Next::kAgain : Next::kPause;
  return give_up(call, 502, "the app broke the connection");
}

Task<Result<void>> Proxy::connect(Call& call) {
  call.connection = std::make_unique<ClientConnection>(reactor_, http::HeadLimits{});
  return call.connection->connect(call.instance->address, reactor_.now() + options_.connect_timeout);
}

Task<Proxy::Next> Proxy::attempt(Call& call) {
  const RequestHead& request = call.exchange.request();
  call.connection = call.instance->pool.take(
      reactor_.now(), request.idempotent() ? http::ClientPool::kIdleMax : kFreshIdleMax);
  call.pooled = call.connection != nullptr;
  if (!call.pooled) {
    const Result<void> connected = co_await connect(call);
    if (!connected) {
      if (busy(connected.error()) && reactor_.now() < call.queue_deadline) {
        co_await sleep(reactor_, kBusyPause);
        co_return Next::kBusy;
      }
      backends_.failed(*call.instance, true);
      co_return Next::kAgain;
    }
  }
  call.connection->start(request.method);
  call.exchange.link(call.connection.get());
  Next next = Next::kFailed;
  const Result<void> sent = co_await call.connection->write(call.head, options_.progress_max);
  if (!sent) {
    next = broken(call, sent.error());
  } else if (!request.has_body()) {
    next = co_await relay_response(call);
  } else {
    next = co_await exchange_with_upload(call);
  }
  finish_connection(call);
  co_return next;
}

void Proxy::finish_connection(Call& call) {
  call.exchange.link(nullptr);
  const bool pooling = call.upload_done && call.instance->state == InstanceState::kUp;
  if (pooling && call.connection->reusable()) {
    call.instance->pool.put(std::move(call.connection), reactor_.now());
  }
  call.connection.reset();
}

// Sends the request body while the response may come already.
Task<Proxy::Next> Proxy::exchange_with_upload(Call& call) {
  const RequestHead& request = call.exchange.request();
  call.upload_done = false;
  if (request.framing == Framing::kLength && request.content_length <= kShortBody) {
    co_await upload(call);
    if (call.upload_error) co_return broken(call, *call.upload_error);
    const Next next = co_await relay_response(call);
    co_return next;
  }
  call.body_taken = true;
  Scope scope;
  scope.spawn(upload(call));
  call.upload = &scope;
  const Next next = co_await relay_response(call);
  call.upload = nullptr;
  // What the instance did not want to read nobody needs.
  if (!call.upload_done) {
    call.connection->stream().cancel();
    call.exchange.stop_reading();
  }
  co_await scope.join();
  co_return next;
}

Task<void> Proxy::upload(Call& call) {
  const bool chunked = call.exchange.request().framing == Framing::kChunked;
  char line[24];
  for (int pieces = 1;; ++pieces) {
    const Result<std::string_view> piece = co_await call.exchange.read_body();
    if (!piece) {
      // The instance must see an error and not the end of a whole body.
      call.upload_error = piece.error();
      call.connection->stream().cancel();
      co_return;
    }
    call.body_taken = true;
    if (piece->empty()) break;
    if (chunked) {
      const std::string_view size(line, http::write_chunk_line(piece->size(), line));
      const Result<void> sent = co_await call.connection->write(size, options_.progress_max);
      if (!sent) co_return;
    }
    const Result<void> sent = co_await call.connection->write(*piece, options_.progress_max);
    if (!sent) co_return;
    if (pieces % kPiecesQuota == 0) co_await yield(reactor_);
    if (!chunked) continue;
    const Result<void> ended = co_await call.connection->write("\r\n", options_.progress_max);
    if (!ended) co_return;
  }
  if (chunked) {
    const Result<void> ended = co_await call.connection->write("0\r\n\r\n", options_.progress_max);
    if (!ended) co_return;
  }
  call.upload_done = true;
}

Task<Proxy::Next> Proxy::relay_response(Call& call) {
  ClientConnection& connection = *call.connection;
  Time deadline = reactor_.now() + options_.response_timeout;
  // Waited for here and not in a coroutine of the connection: this is every request's way.
  for (;;) {
    const Result<bool> complete = connection.read_head_now();
    if (!complete) co_return broken(call, complete.error());
    if (*complete) break;
    const Result<void> ready =
        co_await connection.stream().readable(std::min(deadline, reactor_.now() + kEndedClientMax));
    if (ready) continue;
    if (ready.error().code != Code::kTimeout) co_return broken(call, ready.error());
    // An upload has limits of its own; the time for the answer begins at its end.
    if (call.upload != nullptr && call.upload->running() > 0)
      deadline = reactor_.now() + options_.response_timeout;
    if (reactor_.now() >= deadline) co_return broken(call, ready.error());
    if (call.exchange.client_ended() && call.upload == nullptr) co_return client_gone(call);
  }
  ResponseHead& head = connection.head();
  if (head.status == 101) co_return co_await tunnel(call);
  for (const http::Field& field : call.response_fields) {
    if (head.fields.size() < http::Fields::kMax) head.fields.add(field);
  }
  const bool whole = head.framing == Framing::kLength && call.repeatable();
  if (whole && !connection.body_here()) {
    // Nothing has left for the client yet: until the body is here whole, an instance
    // that dies costs no request.
    const Result<void> buffered = co_await connection.buffer_body(deadline);
    if (!buffered) co_return broken(call, buffered.error());
  }
  if (!whole || !connection.body_here()) co_return co_await relay_body(call);
  const Result<std::string_view> body = connection.take_body();
  const Result<void> sent = co_await call.exchange.respond(head, *body);
  co_return sent ? Next::kDone : client_gone(call);
}

Proxy::Next Proxy::client_gone(Call& call) {
  call.exchange.abort();
  return give_up(call, 503, "the client is gone");
}

Task<Proxy::Next> Proxy::relay_body(Call& call) {
  ClientConnection& connection = *call.connection;
  Exchange& exchange = call.exchange;
  const ResponseHead& head = connection.head();
  std::optional<uint64_t> length;
  if (head.framing == Framing::kLength || head.has_content_length) length = head.content_length;
  call.head_buffer.release();  // it cannot be sent again from here on
  exchange.begin(head, length);
  Result<std::string_view> piece = connection.take_body();
  for (int pieces = 1; piece; ++pieces) {
    // With nothing to send yet the head goes out alone: a stream of events may be long silent.
    Task<Result<void>> sending = connection.body_done() ? exchange.write_last(*piece)
                                 : piece->empty()       ? exchange.flush()
                                                        : exchange.write(*piece);
    const Result<void> sent = co_await sending;
    if (!sent) co_return client_gone(call);
    if (connection.body_done()) co_return Next::kDone;
    if (pieces % kPiecesQuota == 0) co_await yield(reactor_);
    Duration idle{};
    do {
      piece = co_await connection.read_body(kEndedClientMax);
      idle += kEndedClientMax;
    } while (!piece && piece.error().code == Code::kTimeout && idle < options_.stream_idle_max &&
             !exchange.client_ended());
  }
  co_return broken(call, piece.error());
}

Task<Proxy::Next> Proxy::tunnel(Call& call) {
  if (!call.exchange.request().upgrade) {
    co_return broken(call, {.code = Code::kInvalid, .place = "response", .text = "101 without an upgrade"});
  }
  call.body_taken = true;
  call.head_buffer.release();
  call.tunnel_used = reactor_.now();
  call.exchange.begin(call.connection->head(), std::nullopt);
  const Result<void> sent = co_await call.exchange.flush();
  if (!sent) co_return Next::kFailed;
  backends_.metrics().tunnels.add();
  Scope scope;
  scope.spawn(pump_up(call));
  scope.spawn(pump_down(call));
  co_await scope.join();
  backends_.metrics().tunnels.subtract();
  co_return Next::kDone;
}

// Silence of one direction is no reason to end a tunnel that is in use in the other.
bool Proxy::quiet_elsewhere(Call& call, const Result<std::string_view>& piece) {
  if (piece) call.tunnel_used = reactor_.now();
  return !piece && piece.error().code == Code::kTimeout &&
         reactor_.now() - call.tunnel_used < options_.tunnel_idle_max;
}

// One direction each; the end of one is passed on, an error ends both.
Task<void> Proxy::pump_up(Call& call) {
  for (int pieces = 1;; ++pieces) {
    const Result<std::string_view> piece = co_await call.exchange.read_body();
    if (quiet_elsewhere(call, piece)) continue;
    if (piece && piece->empty()) {
      (void)call.connection->stream().shutdown_write();
      co_return;
    }
    if (!piece) break;
    const Result<void> sent = co_await call.connection->write(*piece, options_.tunnel_idle_max);
    if (!sent) break;
    if (pieces % kPiecesQuota == 0) co_await yield(reactor_);
  }
  call.exchange.cancel();
  call.connection->stream().cancel();
}

Task<void> Proxy::pump_down(Call& call) {
  for (int pieces = 1;; ++pieces) {
    const Result<std::string_view> piece = co_await call.connection->read_tunnel(options_.tunnel_idle_max);
    if (quiet_elsewhere(call, piece)) continue;
    if (piece && piece->empty()) {
      (void)co_await call.exchange.finish();
      co_return;
    }
    if (!piece) break;
    const Result<void> sent = co_await call.exchange.write(*piece);
    if (!sent) break;
    if (pieces % kPiecesQuota == 0) co_await yield(reactor_);
  }
  call.exchange.cancel();
  call.connection->stream().cancel();
}

}  // namespace terrace::app

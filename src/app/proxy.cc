#include "app/proxy.h"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

namespace terrace::app {
namespace {

using http::ClientConnection;
using http::Exchange;
using http::RelayEnd;
using http::RequestHead;
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

// Not the instance's fault: its backlog is full for a moment, or we ran out of
// descriptors or memory.
bool busy(const Error& error) {
  return error.system == EAGAIN || error.system == EMFILE || error.system == ENFILE ||
         error.system == ENOBUFS;
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
  bool pooled = false;                                     // the connection has carried a request before
  std::vector<std::pair<uint32_t, uint32_t>> broken_by{};  // slot and generation, each once
  int repeats = 0;                                         // further breaks by these
  Outcome outcome{};

  // Whether this instance breaks the request for the first time.
  bool note_break(uint32_t slot, uint32_t generation) {
    const std::pair by(slot, generation);
    if (std::ranges::find(broken_by, by) != broken_by.end()) return false;
    broken_by.push_back(by);
    return true;
  }
};

void Proxy::set_options(const ProxyOptions& options) {
  options_ = options;
  relay_options_ = {.response_timeout = options.response_timeout,
                    .stream_idle_max = options.stream_idle_max,
                    .tunnel_idle_max = options.tunnel_idle_max,
                    .progress_max = options.progress_max,
                    .tunnels = &backends_.metrics().tunnels};
}

Task<Outcome> Proxy::handle(Exchange& exchange, UpstreamContext context,
                            std::span<const http::Field> response_fields, Without without) {
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
  const bool elsewhere = without == Without::kElsewhere && !exchange.request().has_body();
  bool first_in_line = backends_.waiting() == 0;
  for (int attempts = 0;;) {
    call.instance = first_in_line ? backends_.take() : nullptr;
    if (call.instance == nullptr) {
      if (elsewhere && backends_.none_serves()) {
        call.outcome.given_back = true;
        break;
      }
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

Proxy::Next Proxy::ended(Call& call, const http::Relay<ClientConnection>& relay, RelayEnd end) {
  if (end == RelayEnd::kDone) return Next::kDone;
  if (end == RelayEnd::kBroken) return broken(call, relay);
  if (end == RelayEnd::kBodyRefused) {
    return give_up(call, http::relay_body_status(relay.error()), relay.error().text);
  }
  const bool left = relay.error().code == Code::kClosed;
  return give_up(call, 503, left ? "the client is gone" : "given up");
}

// The connection to the instance failed. Decides whether the request may be sent again.
Proxy::Next Proxy::broken(Call& call, const http::Relay<ClientConnection>& relay) {
  const Error& error = relay.error();
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
  if (relay.repeatable() && again) return first ? Next::kAgain : Next::kPause;
  return give_up(call, 502, "the app broke the connection");
}

Task<Result<void>> Proxy::connect(Call& call) {
  call.connection = std::make_unique<ClientConnection>(reactor_, http::HeadLimits{});
  return call.connection->connect(call.instance->address, reactor_.now() + options_.connect_timeout);
}

Task<Proxy::Next> Proxy::attempt(Call& call) {
  const RequestHead& request = call.exchange.request();
  // What has come for others in this turn is read first: sends in a row wake the instances once,
  // where sends between reads find them asleep again and again.
  co_await yield(reactor_);
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
  call.connection->start(request.method, request.framing);
  Next next = Next::kFailed;
  bool upload_done = false;
  {
    http::Relay<ClientConnection> relay(reactor_, call.exchange, *call.connection, relay_options_,
                                        call.response_fields, &call.head_buffer);
    const Result<void> sent = co_await call.connection->write_head(call.head, options_.progress_max);
    RelayEnd end = RelayEnd::kBroken;
    if (sent) {
      end = co_await relay.run();
    } else {
      end = relay.failed(sent.error());
    }
    next = ended(call, relay, end);
    upload_done = relay.upload_done();
  }
  finish_connection(call, upload_done);
  co_return next;
}

void Proxy::finish_connection(Call& call, bool upload_done) {
  if (upload_done && call.instance->state == InstanceState::kUp && call.connection->reusable()) {
    call.instance->pool.put(std::move(call.connection), reactor_.now());
  }
  call.connection.reset();
}

}  // namespace terrace::app

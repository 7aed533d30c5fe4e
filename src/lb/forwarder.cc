#include "lb/forwarder.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "http/cookie.h"
#include "http/http2_client.h"
#include "http/url.h"
#include "net/proxy_header.h"

namespace terrace::lb {
namespace {

using http::ClientConnection;
using http::Exchange;
using http::Http2ClientConnection;
using http::Http2ClientRequest;
using http::Relay;
using http::RelayEnd;
using http::RequestHead;
using Kind = Balancer::Outcome::Kind;

// Tries of one request, those included that sent nothing, whatever the reasons.
constexpr int kAttemptsMax = 24;
// A request that must not be sent twice takes only a connection used this recently: the
// backend will hardly be closing it just now.
constexpr Duration kFreshIdleMax = std::chrono::milliseconds(500);

// Not the backend's fault: we ran out of descriptors, ports or memory.
bool short_of_something(const Error& error) {
  return error.system == EMFILE || error.system == ENFILE || error.system == ENOBUFS ||
         error.system == EADDRNOTAVAIL;
}

// What our own web servers refuse (http/url.h) comes to nobody else either: not every
// backend reads such a path as whoever set up the pools did. `*` is no path.
bool passes_path(const RequestHead& request, std::span<char> into) {
  if (request.target == "*") return true;
  return http::normalise_path(request.path, into).has_value() || http::has_opaque_slash(request.path);
}

// Given back however the request ends.
struct Admitted {
  ClientLimits* limits = nullptr;
  ClientLimits::Slot slot = ClientLimits::kNoSlot;
  Admitted() = default;
  Admitted(const Admitted&) = delete;
  Admitted& operator=(const Admitted&) = delete;
  ~Admitted() {
    if (slot != ClientLimits::kNoSlot) limits->leave(slot);
  }
};

}  // namespace

struct Forwarder::Call {
  Exchange& exchange;
  const http::UpstreamContext& context;
  CorePool& pool;
  const ForwardOptions options;  // as they were when it came
  Key key{};
  Time queue_deadline{};
  Time total_deadline{};
  BackendSet tried{};
  std::shared_ptr<const StickyCookies> sticky{};
  std::optional<size_t> stuck_to{};     // whom the client's cookie names
  std::optional<http::Field> cookie{};  // for the answer
  http::RelayOptions relay{};
  Forwarded outcome{};

  // Of this try.
  Balancer::Place place{};
  Time begun{};
  Balancer::Outcome seen{};
  bool perhaps_processed = true;
  bool body_gone = false;
  int status = 502;  // if there is no other one

  std::span<const http::Field> added() const {
    return cookie ? std::span(&*cookie, 1) : std::span<const http::Field>();
  }
};

Task<Forwarded> Forwarder::handle(Exchange& exchange, http::UpstreamContext context, net::Ip client,
                                  std::string_view host) {
  const RequestHead& request = exchange.request();
  Admitted admitted;
  admitted.limits = pools_.clients();
  if (admitted.limits != nullptr) {
    const ClientLimits::Admission admission = admitted.limits->admit(client, reactor_.now());
    if (admission.answer != ClientLimits::Answer::kYes) {
      metrics_.client_limited.add();
      const bool fast = admission.answer == ClientLimits::Answer::kTooFast;
      co_return Forwarded{.error_status = 429,
                          .why = fast ? "the client asks too often" : "the client asks too much at once",
                          .backend = {},
                          .retry_after = admission.retry_after};
    }
    admitted.slot = admission.slot;
  }
  const Pools::Use pool = pools_.use_for(host, request.path);
  if (pool->plan.members.empty())  // to wait would not help
    co_return Forwarded{
        .error_status = 503, .why = "no server is in the pool of this request", .backend = {}};
  const Time now = reactor_.now();
  Call call{.exchange = exchange, .context = context, .pool = *pool, .options = options_};
  call.key = key_of(pool->key_source, request, client);
  call.total_deadline = now + call.options.total_timeout;
  call.queue_deadline = std::min(now + call.options.queue_timeout, call.total_deadline);
  call.relay.tunnels = &metrics_.tunnels;
  call.sticky = pool->sticky;
  if (call.sticky != nullptr)
    call.stuck_to = call.sticky->find(http::cookie(request.fields, StickyCookies::kName));
  Dispatch& dispatch = pool->dispatch;
  dispatch.begin();
  int sent = 0;
  for (int attempts = 1; attempts <= kAttemptsMax; ++attempts) {
    const Result<Balancer::Place> place = co_await take_place(call);
    if (!place) {
      (place.error().code == Code::kLimit ? metrics_.turned_away : metrics_.unserved).add();
      give_up(call, 503, place.error().text);
      co_return std::move(call.outcome);
    }
    call.place = *place;
    call.outcome.backend = upstreams_.find(dispatch.balancer().name(place->position));
    call.begun = reactor_.now();
    call.seen = {.kind = Kind::kRefused};
    call.perhaps_processed = true;
    Next next = Next::kRefused;
    if (call.outcome.backend) next = co_await attempt(call);
    dispatch.finish(*place, call.seen);
    pools_.say_verdicts(*pool);
    if (next == Next::kDone || next == Next::kHopeless) co_return std::move(call.outcome);
    if (next == Next::kStale) continue;
    call.tried.add(place->position);
    if (next == Next::kRefused) {
      call.status = 503;
      if (reactor_.now() < call.queue_deadline) continue;
      break;
    }
    const bool again = dispatch.may_try_again({.idempotent = request.idempotent(),
                                               .perhaps_processed = call.perhaps_processed,
                                               .body_gone = call.body_gone,
                                               .response_begun = exchange.begun(),
                                               .tries = ++sent});
    if (!again || reactor_.now() >= call.total_deadline) break;
    metrics_.retries.add();
    call.queue_deadline = std::min(reactor_.now() + call.options.queue_timeout, call.total_deadline);
  }
  metrics_.failed.add();
  give_up(call, call.status, call.outcome.why);
  co_return std::move(call.outcome);
}

// Whoever has a cookie gets the backend that it names, as long as that can be had.
Task<Result<Balancer::Place>> Forwarder::take_place(Call& call) {
  using Ready = Task<Result<Balancer::Place>>;
  Dispatch& dispatch = call.pool.dispatch;
  if (call.stuck_to) {
    if (const auto own = dispatch.take_this(call.sticky->name(*call.stuck_to), call.tried))
      return Ready::ready(*own);
  }
  // Where all have refused, one of them may be back before the deadline.
  if (!dispatch.balancer().any_untried(call.tried)) call.tried = {};
  if (const auto place = dispatch.take(call.key, call.tried)) return Ready::ready(*place);
  return dispatch.wait(call.key, call.tried, call.queue_deadline);
}

Task<Forwarder::Next> Forwarder::attempt(Call& call) {
  Upstream& upstream = *call.outcome.backend;
  stick(call);
  call.relay.response_timeout =
      std::min(call.options.try_timeout, std::max(call.total_deadline - reactor_.now(), Duration::zero()));
  if (upstream.hop != nullptr) return over_hop(call, *upstream.hop);
  if (upstream.here) return over_nothing(call);
  return over_http1(call, upstream);
}

Task<Forwarder::Next> Forwarder::over_nothing(Call& call) {
  BackendSet others = call.tried;
  others.add(call.place.position);
  const bool elsewhere = call.pool.dispatch.balancer().any_untried(others);
  const bool served = co_await own_.serve_here(call.exchange, call.context, call.added(), elsewhere);
  if (!served) co_return refused(call, {.code = Code::kUnavailable, .text = "the app has no instance"});
  const int status = call.exchange.status();
  call.seen = {.kind = status != 0 ? Kind::kAnswered : Kind::kGivenUp,
               .status = status,
               .latency = reactor_.now() - call.begun};
  co_return Next::kDone;
}

Task<Forwarder::Next> Forwarder::over_hop(Call& call, Hop& hop) {
  const RequestHead& request = call.exchange.request();
  Http2ClientConnection* connection = hop.ready(request.upgrade);
  if (connection == nullptr) {
    const Time deadline = std::min(call.total_deadline, reactor_.now() + call.options.connect_timeout);
    const Result<Http2ClientConnection*> reached = co_await hop.reach(request.upgrade, deadline);
    if (!reached) co_return refused(call, reached.error());
    connection = *reached;
  }
  Http2ClientRequest stream(reactor_);
  if (const std::optional<Next> ended = start(call, *connection, stream)) co_return *ended;
  Relay<Http2ClientRequest> relay(reactor_, call.exchange, stream, call.relay, call.added());
  const RelayEnd end = co_await relay.run();
  call.perhaps_processed = !stream.unprocessed();
  const Next next = end_of(call, end, relay);
  if (next == Next::kFailed && stream.refused() && !call.body_gone)
    co_return refused(call, {.code = Code::kUnavailable, .text = "the server has no instance of the app"});
  // It goes away on purpose, and has said so: no reason to think ill of it.
  if (next == Next::kFailed && !call.perhaps_processed) call.seen = {.kind = Kind::kGivenUp};
  co_return next;
}

// No coroutine, so that the fields stand on the stack, which is warm, and not in a frame.
std::optional<Forwarder::Next> Forwarder::start(Call& call, Http2ClientConnection& connection,
                                                Http2ClientRequest& stream) {
  const RequestHead& request = call.exchange.request();
  const Buffer text = reactor_.buffers().take();
  http::Fields fields;
  if (!text) return give_up(call, 503, "no buffer is left");
  if (!http::upstream_fields(request, call.context, {text.data(), Buffer::size()}, fields))
    return give_up(call, 431, "the head does not fit with what is added to it");
  const Result<void> started =
      stream.start(connection, {.head = request, .scheme = "https", .fields = &fields});
  if (!started) return refused(call, started.error());
  return std::nullopt;
}

Task<Forwarder::Next> Forwarder::over_http1(Call& call, Upstream& upstream) {
  const RequestHead& request = call.exchange.request();
  // What has come for others in this turn is read first: sends in a row wake the backends once,
  // where sends between reads find them asleep again and again.
  co_await yield(reactor_);
  Buffer text = reactor_.buffers().take();
  if (!text) co_return give_up(call, 503, "no buffer is left");
  if (!passes_path(request, {text.data(), Buffer::size()})) co_return give_up(call, 400, "bad path");
  const std::string_view head =
      http::write_upstream_head(request, call.context, {text.data(), Buffer::size()});
  if (head.empty()) co_return give_up(call, 431, "the head does not fit with what is added to it");
  const uint32_t epoch = upstream.epoch;
  const Duration idle_max = request.idempotent() ? http::ClientPool::kIdleMax : kFreshIdleMax;
  std::unique_ptr<ClientConnection> connection = upstream.idle.take(reactor_.now(), idle_max);
  const bool pooled = connection != nullptr;
  if (!pooled) {
    connection = std::make_unique<ClientConnection>(reactor_, http::HeadLimits{});
    const Result<void> connected = co_await connect(call, *connection, upstream);
    if (!connected) co_return refused(call, connected.error());
  }
  connection->start(request.method, request.framing);
  upstream.in_use.push_back(connection.get());
  Next next = Next::kFailed;
  bool sent_whole = false;
  {
    Relay<ClientConnection> relay(reactor_, call.exchange, *connection, call.relay, call.added());
    const Result<void> sent = co_await connection->write_head(head, call.relay.progress_max);
    // Another try writes it anew: the next request gets this buffer while it is warm.
    text.release();
    RelayEnd end = RelayEnd::kBroken;
    if (sent) {
      end = co_await relay.run();
    } else {
      end = relay.failed(sent.error());
    }
    next = end_of(call, end, relay);
    sent_whole = relay.upload_done();
    const bool silent = next == Next::kFailed && relay.error().code == Code::kTimeout;
    if (next == Next::kFailed && pooled && !silent && !connection->answered()) {
      // Its other idle connections have most likely gone the same way.
      upstream.idle.clear();
      call.seen = {.kind = Kind::kGivenUp};
      if (relay.repeatable()) next = Next::kStale;
    }
  }
  std::erase(upstream.in_use, connection.get());
  if (sent_whole && !upstream.proxy && epoch == upstream.epoch && connection->reusable())
    upstream.idle.put(std::move(connection), reactor_.now());
  co_return next;
}

Task<Result<void>> Forwarder::connect(Call& call, ClientConnection& connection, const Upstream& upstream) {
  const Time deadline = std::min(call.total_deadline, reactor_.now() + call.options.connect_timeout);
  const bool proxy = upstream.proxy;
  const Result<void> connected = co_await connection.connect(upstream.address, deadline);
  if (!connected || !proxy) co_return connected;
  std::array<char, net::kProxyHeaderWrittenBytesMax> buffer;
  const size_t bytes =
      net::write_proxy_header({.source = call.context.peer, .destination = upstream.address.peer()}, buffer);
  const std::string_view text(buffer.data(), bytes);
  const Result<void> written = co_await connection.stream().write_all(text, call.options.connect_timeout);
  co_return written;
}

template <class Request>
Forwarder::Next Forwarder::end_of(Call& call, RelayEnd end, const Relay<Request>& relay) {
  call.body_gone = relay.body_taken();
  call.seen = {.kind = Kind::kGivenUp};
  switch (end) {
    case RelayEnd::kDone:
      call.seen = {
          .kind = Kind::kAnswered, .status = relay.status(), .latency = relay.head_at() - call.begun};
      return Next::kDone;
    case RelayEnd::kClientGone:
      return Next::kDone;
    case RelayEnd::kBodyRefused:
      return give_up(call, http::relay_body_status(relay.error()), relay.error().text);
    case RelayEnd::kBroken:
      call.seen = {.kind = Kind::kBroken};
      call.status = relay.error().code == Code::kTimeout ? 504 : 502;
      call.outcome.why = relay.error().text;
      return Next::kFailed;
  }
  return Next::kFailed;
}

// Nothing was sent. What is ours to mend is not held against the backend, nor is a handshake
// that a new certificate of ours has ended.
Forwarder::Next Forwarder::refused(Call& call, const Error& error) {
  call.outcome.why = error.text;
  const bool ours = short_of_something(error) || error.code == Code::kCancelled;
  call.seen = {.kind = ours ? Kind::kGivenUp : Kind::kRefused};
  return Next::kRefused;
}

// The client is told by a cookie whom it has now, unless it knows.
void Forwarder::stick(Call& call) {
  call.cookie.reset();
  if (call.sticky == nullptr) return;
  const std::optional<size_t> now = call.sticky->position(call.outcome.backend->name);
  if (!now || now == call.stuck_to) return;
  const bool secure = call.context.scheme == "https";
  call.cookie = {"Set-Cookie", call.sticky->set_cookie(*now, secure), http::HeaderId::kSetCookie, false};
}

Forwarder::Next Forwarder::give_up(Call& call, int status, const char* why) {
  call.outcome.why = why;
  call.seen = {.kind = Kind::kGivenUp};
  if (call.exchange.begun())
    call.exchange.abort();
  else
    call.outcome.error_status = status;
  return Next::kHopeless;
}

}  // namespace terrace::lb

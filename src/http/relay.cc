#include "http/relay.h"

#include <algorithm>
#include <utility>

namespace terrace::http {
namespace {

// A client that ended its side may be gone: it is waited for this long without a sign.
constexpr Duration kEndedClientMax = std::chrono::seconds(30);
// Bodies up to this length are sent before the answer is awaited.
constexpr uint64_t kShortBody = 16384;
// Pieces relayed in a row before others get their turn.
constexpr int kPiecesQuota = 16;

}  // namespace

int relay_body_status(const Error& error) {
  if (error.code == Code::kLimit) return 413;
  if (error.code == Code::kTimeout) return 408;
  return 400;
}

template <class Request>
Task<RelayEnd> Relay<Request>::run() {
  if (exchange_.request().has_body()) return exchange_with_upload();
  return relay_response();
}

template <class Request>
RelayEnd Relay<Request>::failed(const Error& error) {
  error_ = error;
  if (upload_error_) {
    error_ = *upload_error_;
    if (error_.code == Code::kClosed || error_.code == Code::kCancelled) exchange_.abort();
    return RelayEnd::kBodyRefused;
  }
  if (!request_.cancelled()) return RelayEnd::kBroken;
  exchange_.abort();
  return RelayEnd::kClientGone;
}

template <class Request>
RelayEnd Relay<Request>::client_gone() {
  error_ = {.code = Code::kClosed, .place = "exchange", .text = "the client is gone"};
  exchange_.abort();
  return RelayEnd::kClientGone;
}

// It cannot be sent again from here on.
template <class Request>
void Relay<Request>::forget_head() {
  if (head_ != nullptr) head_->release();
}

// Sends the request body while the answer may come already.
template <class Request>
Task<RelayEnd> Relay<Request>::exchange_with_upload() {
  const RequestHead& request = exchange_.request();
  if (request.framing == Framing::kLength && request.content_length <= kShortBody) {
    co_await upload();
    if (upload_error_) co_return failed(*upload_error_);
    const RelayEnd end = co_await relay_response();
    co_return end;
  }
  body_taken_ = true;
  Scope scope;
  scope.spawn(upload());
  upload_ = &scope;
  const RelayEnd end = co_await relay_response();
  upload_ = nullptr;
  // What the backend did not want to read nobody needs.
  if (!upload_done_) {
    request_.cancel();
    exchange_.stop_reading();
  }
  co_await scope.join();
  co_return end;
}

template <class Request>
Task<void> Relay<Request>::upload() {
  const bool sized = exchange_.request().framing == Framing::kLength;
  uint64_t left = exchange_.request().content_length;
  for (int pieces = 1;; ++pieces) {
    const Result<std::string_view> piece = co_await exchange_.read_body();
    if (!piece) {
      // The backend must see an error and not the end of a whole body.
      upload_error_ = piece.error();
      request_.cancel();
      co_return;
    }
    body_taken_ = true;
    left -= std::min<uint64_t>(left, piece->size());
    const bool last = piece->empty() || (sized && left == 0);
    Task<Result<void>> sending = last ? request_.write_last(*piece, options_.progress_max)
                                      : request_.write(*piece, options_.progress_max);
    const Result<void> sent = co_await sending;
    if (!sent) co_return;
    if (last) break;
    if (pieces % kPiecesQuota == 0) co_await yield(reactor_);
  }
  upload_done_ = true;
}

template <class Request>
Task<RelayEnd> Relay<Request>::relay_response() {
  Time deadline = reactor_.now() + options_.response_timeout;
  // Waited for here and not in a coroutine of the request: this is every request's way.
  for (;;) {
    const Result<bool> complete = request_.read_head_now();
    if (!complete) co_return failed(complete.error());
    if (*complete) break;
    const Result<void> ready =
        co_await request_.readable(std::min(deadline, reactor_.now() + kEndedClientMax));
    if (ready) continue;
    if (ready.error().code != Code::kTimeout) co_return failed(ready.error());
    // An upload has limits of its own; the time for the answer begins at its end.
    if (upload_ != nullptr && upload_->running() > 0) deadline = reactor_.now() + options_.response_timeout;
    if (reactor_.now() >= deadline) co_return failed(ready.error());
    if (exchange_.client_ended() && upload_ == nullptr) co_return client_gone();
  }
  ResponseHead& head = request_.head();
  head_at_ = reactor_.now();
  status_ = head.status;
  if (status_ == 101) co_return co_await tunnel();
  for (const Field& field : response_fields_) {
    if (head.fields.size() < Fields::kCapacity) head.fields.add(field);
  }
  const bool whole = head.framing == Framing::kLength && repeatable();
  if (whole && !request_.body_here()) {
    // Nothing has left for the client yet: until the body is here whole, a backend
    // that dies costs no request.
    const Result<void> buffered = co_await request_.buffer_body(deadline);
    if (!buffered) co_return failed(buffered.error());
  }
  const bool here = whole && request_.body_here();
  const Result<std::string_view> body = request_.take_body();
  if (!body) co_return failed(body.error());
  if (!here || !request_.body_done()) co_return co_await relay_body(body);
  const Result<void> sent = co_await exchange_.respond(head, *body);
  co_return sent ? RelayEnd::kDone : client_gone();
}

template <class Request>
Task<RelayEnd> Relay<Request>::relay_body(Result<std::string_view> piece) {
  const ResponseHead& head = request_.head();
  std::optional<uint64_t> length;
  if (head.framing == Framing::kLength || head.has_content_length) length = head.content_length;
  forget_head();
  exchange_.begin(head, length);
  for (int pieces = 1; piece; ++pieces) {
    // With nothing to send yet the head goes out alone: a stream of events may be long silent.
    Task<Result<void>> sending = request_.body_done() ? exchange_.write_last(*piece)
                                 : piece->empty()     ? exchange_.flush()
                                                      : exchange_.write(*piece);
    const Result<void> sent = co_await sending;
    if (!sent) co_return client_gone();
    if (request_.body_done()) co_return RelayEnd::kDone;
    if (pieces % kPiecesQuota == 0) co_await yield(reactor_);
    Duration idle{};
    do {
      piece = co_await request_.read_body(kEndedClientMax);
      idle += kEndedClientMax;
    } while (!piece && piece.error().code == Code::kTimeout && idle < options_.stream_idle_max &&
             !exchange_.client_ended());
  }
  co_return failed(piece.error());
}

template <class Request>
Task<RelayEnd> Relay<Request>::tunnel() {
  if (!exchange_.request().upgrade) {
    co_return failed({.code = Code::kInvalid, .place = "response", .text = "101 without an upgrade"});
  }
  body_taken_ = true;
  forget_head();
  tunnel_used_ = reactor_.now();
  exchange_.begin(request_.head(), std::nullopt);
  const Result<void> sent = co_await exchange_.flush();
  if (!sent) co_return client_gone();
  if (options_.tunnels != nullptr) options_.tunnels->add();
  Scope scope;
  scope.spawn(pump_up());
  scope.spawn(pump_down());
  co_await scope.join();
  if (options_.tunnels != nullptr) options_.tunnels->subtract();
  co_return RelayEnd::kDone;
}

// Silence of one direction is no reason to end a tunnel that is in use in the other.
template <class Request>
bool Relay<Request>::quiet_elsewhere(const Result<std::string_view>& piece) {
  if (piece) tunnel_used_ = reactor_.now();
  return !piece && piece.error().code == Code::kTimeout &&
         reactor_.now() - tunnel_used_ < options_.tunnel_idle_max;
}

template <class Request>
void Relay<Request>::cancel_both() {
  exchange_.cancel();
  request_.cancel();
}

// One direction each; the end of one is passed on, an error ends both.
template <class Request>
Task<void> Relay<Request>::pump_up() {
  for (int pieces = 1;; ++pieces) {
    const Result<std::string_view> piece = co_await exchange_.read_body();
    if (quiet_elsewhere(piece)) continue;
    if (piece && piece->empty()) {
      (void)co_await request_.write_last({}, options_.tunnel_idle_max);
      co_return;
    }
    if (!piece) break;
    const Result<void> sent = co_await request_.write(*piece, options_.tunnel_idle_max);
    if (!sent) break;
    if (pieces % kPiecesQuota == 0) co_await yield(reactor_);
  }
  cancel_both();
}

template <class Request>
Task<void> Relay<Request>::pump_down() {
  for (int pieces = 1;; ++pieces) {
    const Result<std::string_view> piece = co_await request_.read_tunnel(options_.tunnel_idle_max);
    if (quiet_elsewhere(piece)) continue;
    if (piece && piece->empty()) {
      (void)co_await exchange_.finish();
      co_return;
    }
    if (!piece) break;
    const Result<void> sent = co_await exchange_.write(*piece);
    if (!sent) break;
    if (pieces % kPiecesQuota == 0) co_await yield(reactor_);
  }
  cancel_both();
}

template class Relay<ClientConnection>;
template class Relay<Http2ClientRequest>;

}  // namespace terrace::http

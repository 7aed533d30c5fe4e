#include "http/http2_exchange.h"

#include <algorithm>

#include "base/assert.h"
#include "http/http2_server.h"

namespace terrace::http {
namespace {

const Error kTooSlow{.code = Code::kTimeout, .place = "response", .text = "slower than the minimum rate"};
const Error kStuck{.code = Code::kTimeout, .place = "response", .text = "no progress"};

}  // namespace

void Http2Exchange::start(Http2Connection& connection) {
  reset_state();
  connection_ = &connection;
  started_ = reactor().now();
  linked_ = nullptr;
  refused_ = cancelled_ = stopped_ = false;
  body_error_.reset();
  continue_pending_ = false;
  body_waited_ = {};
  received_ = length_remaining_ = sent_bytes_ = 0;
  sized_ = false;
  status_ = 0;
  begun_ = finished_ = broken_ = tunnel_ = no_body_ = false;
}

void Http2Exchange::end() {
  detach(Reset::kCancel);
  reset_state();
  reader_.release();
  connection_ = nullptr;
}

const net::Peer& Http2Exchange::peer() const { return connection_->peer(); }
Reactor& Http2Exchange::reactor() { return connection_->reactor(); }
const ServerLimits& Http2Exchange::limits() const { return connection_->server().limits().exchange; }

// ---- what the session says ----------------------------------------------------

void Http2Exchange::head_begins() {
  reader_.start(reactor().buffers());
  head_.fields.clear();
}

void Http2Exchange::head_field(std::string_view name, std::string_view value) {
  reader_.add(name, value, connection_->limits().head, head_.fields);
}

void Http2Exchange::head_ends(bool end) {
  head_done_ = true;
  refused_ = !reader_.finish_request(connection_->limits().head, end, head_);
  continue_pending_ = head_.expect_continue;
  connection_->ready_.push_back(this);
}

void Http2Exchange::stream_closed() {
  if (!head_done_) {
    connection_->dropped_.push_back(this);
    return;
  }
  if (failure_ && linked_ != nullptr) linked_->cancel();
}

void Http2Exchange::link(Cancellable* other) {
  linked_ = other;
  if (other != nullptr && (cancelled_ || failure_)) other->cancel();
}

void Http2Exchange::give_up() {
  cancel();
  if (linked_ != nullptr) linked_->cancel();
}

// ---- reading ----------------------------------------------------------------

Task<void> Http2Exchange::refuse() {
  const Refusal refusal = reader_.refusal();
  Handler& handler = connection_->server().handler();
  handler.refused(refusal.status, refusal.text, peer());
  // The head may be half filled: what it says does not count.
  head_.method = Method::kGet;
  head_.upgrade = false;
  stopped_ = true;
  ResponseHead answer;
  answer.status = refusal.status;
  answer.fields.add({"Content-Type", "text/html; charset=utf-8", HeaderId::kContentType, false});
  if (refusal.status == 405) {
    answer.fields.add({"Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH", HeaderId::kAllow, false});
  }
  const std::string page(handler.error_page(refusal.status));
  (void)co_await respond(answer, page);
}

std::unexpected<Error> Http2Exchange::fail_body(const Error& error) {
  body_error_ = error;
  return std::unexpected(error);
}

Task<Result<std::string_view>> Http2Exchange::read_body() {
  using Ready = Task<Result<std::string_view>>;
  if (cancelled_) return Ready::ready(fail(Code::kCancelled, "request body"));
  if (body_error_) return Ready::ready(std::unexpected(*body_error_));
  if (stopped_) return Ready::ready(fail(Code::kClosed, "request body"));
  if (!tunnel_ && head_.upgrade) return Ready::ready(std::string_view());
  if (!tunnel_ && head_.framing == Framing::kLength && head_.content_length > limits().body_bytes_max) {
    return Ready::ready(fail_body({.code = Code::kLimit, .text = "the body is larger than allowed"}));
  }
  if (continue_pending_ && !begun_ && body_.size() == 0) (void)submit_informational(100);
  continue_pending_ = false;
  Result<std::string_view> piece = take_body_now();
  if (piece || piece.error().code != Code::kWouldBlock) return Ready::ready(piece);
  return wait_for_body();
}

Result<std::string_view> Http2Exchange::take_body_now() {
  Result<std::string_view> piece = take_now();
  if (!piece && piece.error().code == Code::kWouldBlock) return piece;
  if (!piece) {
    const bool ours = piece.error().code == Code::kInvalid || piece.error().code == Code::kCancelled;
    return fail_body({.code = ours ? piece.error().code : Code::kClosed,
                      .place = "request body",
                      .text = ours ? piece.error().text : "cut short"});
  }
  received_ += piece->size();
  if (!tunnel_ && received_ > limits().body_bytes_max) {
    return fail_body({.code = Code::kLimit, .text = "the body is larger than allowed"});
  }
  return piece;
}

Task<Result<std::string_view>> Http2Exchange::wait_for_body() {
  for (;;) {
    const Time before = reactor().now();
    const Duration limit = tunnel_ ? limits().tunnel_idle_max : limits().progress_max;
    const Result<void> ready = co_await readable_.wait(reactor(), before + limit);
    if (cancelled_) co_return fail(Code::kCancelled, "request body");
    if (stopped_) co_return fail(Code::kClosed, "request body");
    Result<std::string_view> piece = take_body_now();
    if (piece || piece.error().code != Code::kWouldBlock) co_return piece;
    if (tunnel_) {
      if (!ready) co_return std::unexpected(ready.error());
      continue;
    }
    body_waited_ += reactor().now() - before;
    if (!ready) co_return fail_body({.code = Code::kTimeout, .place = "request body", .text = "no progress"});
    if (is_too_slow(limits(), received_, body_waited_)) co_return fail_body(kTooSlow);
  }
}

void Http2Exchange::stop_reading() {
  if (remote_ended_) return;
  stopped_ = true;
  readable_.notify();
}

// ---- writing ----------------------------------------------------------------

bool Http2Exchange::body_forbidden() const {
  return head_.method == Method::kHead || status_ == 204 || status_ == 304 || status_ < 200;
}

void Http2Exchange::begin(const ResponseHead& head, std::optional<uint64_t> length) {
  ASSERT(!begun_);
  begun_ = true;
  status_ = head.status;
  tunnel_ = head.status == 101 && head_.upgrade;
  no_body_ = body_forbidden() && !tunnel_;
  sized_ = length.has_value() && !tunnel_;
  length_remaining_ = length.value_or(0);
  const bool dated = head.fields.find(HeaderId::kDate) != nullptr;
  const bool ends = no_body_ || (sized_ && *length == 0);
  std::optional<uint64_t> told = sized_ ? length : std::nullopt;
  if (status_ == 204 || status_ == 304) told.reset();
  const std::string_view date = dated ? std::string_view() : connection_->server().date();
  // 101 does not exist in HTTP/2: a tunnel is accepted with 200 (RFC 8441 section 5), and
  // with nothing else is refused.
  const bool no_tunnel = head_.upgrade && !tunnel_ && status_ / 100 == 2;
  const int said = tunnel_ ? 200 : no_tunnel ? kNoTunnelStatus : status_;
  const Result<void> submitted = submit_response(head, said, told, date, ends);
  if (!submitted) broken_ = true;
}

Task<Result<void>> Http2Exchange::respond(const ResponseHead& head, std::string_view body) {
  begin(head, body.size());
  return write_part(body, true);
}

Task<Result<void>> Http2Exchange::write_part(std::string_view bytes, bool last) {
  using Ready = Task<Result<void>>;
  ASSERT(begun_ && !finished_);
  if (cancelled_) return Ready::ready(fail(Code::kCancelled, "response"));
  if (broken_ || !attached()) return Ready::ready(client_gone({.code = Code::kClosed, .place = "response"}));
  if (no_body_) bytes = {};
  if (sized_ && !no_body_) {
    if (bytes.size() > length_remaining_ || (last && bytes.size() != length_remaining_)) {
      abort();
      return Ready::ready(fail(Code::kInvalid, "response", "not the promised length"));
    }
    length_remaining_ -= bytes.size();
  }
  finished_ = last;
  sent_bytes_ += bytes.size();
  // The end may have gone with the head.
  if (end_sent_ || (bytes.empty() && !last)) {
    connection_->wake_writer();
    return Ready::ready({});
  }
  send(bytes, last);
  if (sent()) return Ready::ready({});
  return wait_until_sent();
}

Task<Result<void>> Http2Exchange::flush() {
  if (cancelled_) return Task<Result<void>>::ready(fail(Code::kCancelled, "response"));
  if (broken_ || !attached()) return Task<Result<void>>::ready(fail(Code::kClosed, "response"));
  connection_->wake_writer();
  return Task<Result<void>>::ready({});
}

// What was handed over is copied once the client's window and the socket take it.
Task<Result<void>> Http2Exchange::wait_until_sent() {
  const Time begun = reactor().now();
  const uint64_t all = unsent();
  uint64_t left = all;
  Time moved = begun;
  while (!sent()) {
    const Duration limit = tunnel_ ? limits().tunnel_idle_max : limits().progress_max;
    const Time deadline = std::min(moved + limit, reactor().now() + limits().rate_grace);
    (void)co_await writable_.wait(reactor(), deadline);
    if (cancelled_) co_return fail(Code::kCancelled, "response");
    if (sent()) break;
    if (!attached()) co_return client_gone(failure_.value_or(Error{.code = Code::kClosed}));
    if (unsent() < left) moved = reactor().now();
    left = unsent();
    if (reactor().now() >= moved + limit) co_return client_gone(kStuck);
    if (!tunnel_ && is_too_slow(limits(), all - left, reactor().now() - begun)) {
      co_return client_gone(kTooSlow);
    }
  }
  co_return Result<void>();
}

Task<Result<void>> Http2Exchange::send_file(int file, off_t offset, uint64_t bytes) {
  using Ready = Task<Result<void>>;
  ASSERT(begun_ && !finished_ && (sized_ || no_body_));
  if (cancelled_) return Ready::ready(fail(Code::kCancelled, "response"));
  if (broken_ || !attached()) return Ready::ready(fail(Code::kClosed, "response"));
  connection_->wake_writer();
  if (no_body_ || bytes == 0) return Ready::ready({});
  ASSERT(bytes <= length_remaining_);
  length_remaining_ -= bytes;
  sent_bytes_ += bytes;
  Http2Stream::send_file(file, offset, bytes);
  return wait_until_sent();
}

std::unexpected<Error> Http2Exchange::client_gone(const Error& error) {
  broken_ = true;
  detach(Reset::kCancel);
  return std::unexpected(error);
}

void Http2Exchange::abort() {
  broken_ = true;
  detach(Reset::kInternalError);
  readable_.notify();
  writable_.notify();
}

bool Http2Exchange::give_back() {
  if (begun_ || broken_ || received_ != 0 || !attached()) return false;
  broken_ = true;
  detach(Reset::kRefused);
  return true;
}

void Http2Exchange::cancel() {
  cancelled_ = broken_ = true;
  detach(Reset::kCancel);
  readable_.notify();
  writable_.notify();
}

Task<void> Http2Exchange::conclude() {
  if (!begun_ && !broken_) {
    ResponseHead answer;
    answer.status = 500;
    answer.fields.add({"Content-Type", "text/html; charset=utf-8", HeaderId::kContentType, false});
    const std::string page(connection_->server().handler().error_page(500));
    (void)co_await respond(answer, page);
  }
  if (!finished_ && !broken_) abort();
  // The answer is whole: the rest of the request is not wanted (RFC 9113 section 8.1).
  detach(Reset::kNoError);
}

}  // namespace terrace::http

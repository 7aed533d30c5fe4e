#include "http/http1_exchange.h"

namespace terrace::http {
namespace {

constexpr size_t kDrainBytesMax = 65536;
// Room that a body needs behind its head, so that it is not read a few bytes at a time.
constexpr size_t kBodyRoomMin = 1024;
constexpr const char* kTooSlow = "slower than the minimum rate";
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

void Http1Exchange::start(Connection& connection) {
  connection_ = &connection;
  parser_.reset();
  started_ = connection.server().reactor().now();
  body_remaining_ = 0;
  body_done_ = true;
  body_failed_ = continue_pending_ = false;
  body_waited_ = {};
  received_ = 0;
  parts_count_ = 0;
  out_used_ = 0;
  framing_ = Framing::kNone;
  length_remaining_ = 0;
  status_ = 0;
  sent_ = 0;
  begun_ = finished_ = broken_ = keep_alive_ = tunnel_ = no_body_ = wants_linger_ = false;
}

void Http1Exchange::end() {
  out_.release();
  connection_ = nullptr;
}

// ---- reading ----------------------------------------------------------------

Task<bool> Http1Exchange::read_head() {
  switch (parser_.parse(connection_->unread(), limits().head, head_)) {
    case Parsed::kDone:
      if (!needs_room()) return check_head();
      connection_->compact();
      parser_.reset();
      return read_head();
    case Parsed::kRefused:
      return refuse(parser_.refusal().status, parser_.refusal().text);
    case Parsed::kIncomplete:
      break;
  }
  return read_rest_of_head();
}

// A pipelined head that ends where the buffer ends, with something to follow it.
bool Http1Exchange::needs_room() const {
  const size_t used = connection_->offset() + parser_.head_bytes();
  return (head_.has_body() || head_.upgrade) && connection_->offset() > 0 &&
         used + kBodyRoomMin > Buffer::size();
}

Task<bool> Http1Exchange::read_rest_of_head() {
  if (connection_->offset() > 0) {
    // The head began behind another request: move it where all of it has room.
    connection_->compact();
    parser_.reset();
  }
  const Time deadline = started_ + limits().head_timeout;
  for (;;) {
    const Result<size_t> n = connection_->fill_now();
    if (n && *n == 0) co_return false;
    if (!n && n.error().code == Code::kWouldBlock) {
      const Result<void> ready = co_await stream().readable(deadline);
      if (ready) continue;
      if (ready.error().code != Code::kTimeout || !parser_.started()) co_return false;
      const bool refused = co_await refuse(408, "the head took too long");
      co_return refused;
    }
    if (!n && n.error().code != Code::kLimit) co_return false;
    const Parsed parsed = n ? parser_.parse(connection_->unread(), limits().head, head_) : Parsed::kRefused;
    if (parsed == Parsed::kIncomplete) continue;
    Task<bool> next = parsed == Parsed::kDone ? check_head()
                      : n                     ? refuse(parser_.refusal().status, parser_.refusal().text)
                                              : refuse(431, "the head does not fit");
    const bool good = co_await next;
    co_return good;
  }
}

// What remains to be checked once the head itself was found right.
Task<bool> Http1Exchange::check_head() {
  connection_->consume(parser_.head_bytes());
  body_offset_ = connection_->offset();
  body_done_ =
      head_.framing == Framing::kNone || (head_.framing == Framing::kLength && head_.content_length == 0);
  if (body_done_ && !head_.upgrade) return Task<bool>::ready(true);
  if (head_.upgrade) {
    if (!connection_->unread().empty()) return refuse(400, "bytes before the upgrade was answered");
    return Task<bool>::ready(true);
  }
  body_remaining_ = head_.content_length;
  continue_pending_ = head_.expect_continue;
  chunks_.reset();
  if (head_.framing == Framing::kLength && head_.content_length > limits().body_bytes_max) {
    return refuse(413, "the body is larger than allowed");
  }
  return Task<bool>::ready(true);
}

Task<bool> Http1Exchange::refuse(int status, const char* why) {
  Handler& handler = connection_->server().handler();
  handler.refused(status, why, peer());
  // The head may be half filled: what it says does not count.
  head_.method = Method::kGet;
  head_.http_1_0 = head_.keep_alive = head_.upgrade = false;
  body_failed_ = true;
  ResponseHead answer;
  answer.status = status;
  answer.fields.add({"Content-Type", "text/html; charset=utf-8", HeaderId::kContentType, false});
  if (status == 405) {
    answer.fields.add({"Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH", HeaderId::kAllow, false});
  }
  // A copy: the site that owns the page may be replaced while a slow client reads it.
  const std::string page(handler.error_page(status));
  (void)co_await respond(answer, page);
  wants_linger_ = true;
  co_return false;
}

void Http1Exchange::stop_reading() {
  if (body_done_) return;
  body_failed_ = true;
  stream().interrupt_read();
}

Task<Result<std::string_view>> Http1Exchange::read_body() {
  using Ready = Task<Result<std::string_view>>;
  if (tunnel_) return read_tunnel();
  if (body_failed_) return Ready::ready(fail(Code::kClosed, "request body"));
  if (body_done_) return Ready::ready(std::string_view());
  if (continue_pending_) {
    continue_pending_ = false;
    if (!begun_ && stream().write_now(kContinue).value_or(0) != kContinue.size()) broken_ = true;
  }
  Result<std::string_view> piece = take_body_now();
  if (piece || piece.error().code != Code::kWouldBlock) return Ready::ready(piece);
  return wait_for_body();
}

Result<std::string_view> Http1Exchange::fail_body(Code code, const char* why) {
  body_failed_ = true;
  return fail(code, "request body", why);
}

Result<std::string_view> Http1Exchange::take_body_now() {
  if (head_.framing == Framing::kChunked) return take_chunked_now();
  const std::string_view unread = connection_->unread();
  if (unread.empty()) return fail(Code::kWouldBlock, "request body");
  const std::string_view piece = unread.substr(0, body_remaining_);
  connection_->consume(piece.size());
  body_remaining_ -= piece.size();
  received_ += piece.size();
  body_done_ = body_remaining_ == 0;
  return piece;
}

Result<std::string_view> Http1Exchange::take_chunked_now() {
  while (!connection_->unread().empty()) {
    const ChunkDecoder::Step step = chunks_.decode(connection_->unread());
    connection_->consume(step.consumed);
    if (step.state == Parsed::kRefused) return fail_body(Code::kInvalid, chunks_.refusal().text);
    received_ += step.data.size();
    if (received_ > limits().body_bytes_max)
      return fail_body(Code::kLimit, "the body is larger than allowed");
    body_done_ = step.state == Parsed::kDone;
    if (body_done_ || !step.data.empty()) return step.data;
  }
  return fail(Code::kWouldBlock, "request body");
}

Task<Result<std::string_view>> Http1Exchange::wait_for_body() {
  for (;;) {
    connection_->rewind(body_offset_);
    const Result<size_t> n = connection_->fill_now();
    if (n && *n == 0) co_return fail_body(Code::kClosed, "cut short");
    if (n) {
      Result<std::string_view> piece = take_body_now();
      if (piece || piece.error().code != Code::kWouldBlock) co_return piece;
      continue;
    }
    if (n.error().code != Code::kWouldBlock) co_return fail_body(Code::kClosed, "the connection broke");
    const Time before = reactor().now();
    const Result<void> ready = co_await stream().readable(before + limits().progress_max);
    body_waited_ += reactor().now() - before;
    if (!ready) co_return fail_body(ready.error().code, "no progress");
    if (is_too_slow(limits(), received_, body_waited_)) co_return fail_body(Code::kTimeout, kTooSlow);
  }
}

Task<Result<std::string_view>> Http1Exchange::read_tunnel() {
  for (;;) {
    const std::string_view unread = connection_->unread();
    if (!unread.empty()) {
      connection_->consume(unread.size());
      received_ += unread.size();
      co_return unread;
    }
    connection_->rewind(body_offset_);
    const Result<size_t> n = connection_->fill_now();
    if (n && *n == 0) co_return std::string_view();
    if (n) continue;
    if (n.error().code != Code::kWouldBlock) co_return std::unexpected(n.error());
    const Result<void> ready = co_await stream().readable(reactor().now() + limits().tunnel_idle_max);
    if (!ready) co_return std::unexpected(ready.error());
  }
}

// Takes the rest of a body that the handler did not want in, if it is short: then
// the connection can be used again.
Task<bool> Http1Exchange::drain_body() {
  size_t total = 0;
  while (!body_done_ && total < kDrainBytesMax) {
    const Result<std::string_view> piece = co_await read_body();
    if (!piece) break;
    total += piece->size();
  }
  wants_linger_ = !body_done_;
  co_return body_done_;
}

Task<bool> Http1Exchange::conclude() {
  if (!begun_ && !broken_) return conclude_unanswered();
  if (!finished_ && !broken_) abort();
  if (broken_ || tunnel_) return Task<bool>::ready(false);
  // What is left of a failed body would be read as the next request.
  if (body_failed_) keep_alive_ = false;
  if (!body_done_ && keep_alive_) return drain_body();
  wants_linger_ = !keep_alive_ && (!body_done_ || !connection_->unread().empty());
  return Task<bool>::ready(bool(keep_alive_));
}

Task<bool> Http1Exchange::conclude_unanswered() {
  ResponseHead answer;
  answer.status = 500;
  answer.fields.add({"Content-Type", "text/html; charset=utf-8", HeaderId::kContentType, false});
  const std::string page(connection_->server().handler().error_page(500));
  (void)co_await respond(answer, page);
  co_return co_await conclude();
}

}  // namespace terrace::http

#include "http/http2_client.h"

#include <algorithm>
#include <charconv>

#include "base/assert.h"

namespace terrace::http {
namespace {

// Of HTTP/1.0 without Host. A request without any authority is malformed (RFC 9113 section
// 8.3.1): the server would reset the stream, and be blamed for it.
constexpr std::string_view kNoAuthority = "localhost";

}  // namespace

Http2ClientRequest::~Http2ClientRequest() { detach(Reset::kCancel); }

Result<void> Http2ClientRequest::start(Http2ClientConnection& connection, const Options& options) {
  ASSERT(limits_ == nullptr);
  if (cancelled_) return fail(Code::kCancelled, "request");
  const RequestHead& request = options.head;
  if (!connection.takes_requests() || (request.upgrade && !connection.takes_tunnels())) {
    return fail(Code::kUnavailable, "request", "the connection takes no more of these");
  }
  limits_ = &connection.limits();
  method_ = request.method;
  RequestLine line{.method = request.method_text,
                   .scheme = options.scheme,
                   .authority = request.authority.empty() ? kNoAuthority : request.authority,
                   .target = request.target};
  if (request.upgrade) {
    protocol_ = request.fields.value(HeaderId::kUpgrade);
    line.method = "CONNECT";
    line.protocol = protocol_;
  }
  std::optional<uint64_t> length;
  if (request.framing == Framing::kLength) length = request.content_length;
  const bool ends = !request.upgrade && (!request.has_body() || length == uint64_t{0});
  const Fields& fields = options.fields != nullptr ? *options.fields : request.fields;
  return submit_request(connection, line, fields, length, ends);
}

// ---- what the session says ----------------------------------------------------

void Http2ClientRequest::head_begins() {
  answered_ = true;
  reader_.start(reactor_.buffers());
  head_.fields.clear();
}

void Http2ClientRequest::head_field(std::string_view name, std::string_view value) {
  reader_.add(name, value, limits_->head, head_.fields);
}

void Http2ClientRequest::head_ends(bool end) {
  if (!reader_.finish_response(method_, end, head_)) {
    const Code code = reader_.refusal().status == 502 ? Code::kInvalid : Code::kLimit;
    return give_up({.code = code, .place = "response", .text = reader_.refusal().text}, Reset::kCancel);
  }
  if (head_.status < 200) {
    if (!end && ++informational_ <= kInformationalMax) return;
    return give_up({.code = Code::kInvalid, .place = "response", .text = "endless 1xx"},
                   Reset::kProtocolError);
  }
  head_done_ = true;
  if (!protocol_.empty() && head_.status == 200) accept_tunnel();
  if (!protocol_.empty() && head_.status == kNoTunnelStatus) take_real_status();
  readable_.notify();
}

// RFC 8441 section 5: the 200 of an extended CONNECT is what 101 is in HTTP/1.1.
void Http2ClientRequest::accept_tunnel() {
  head_.status = 101;
  head_.framing = Framing::kNone;
  head_.has_content_length = false;
  if (head_.fields.size() < Fields::kCapacity) {
    head_.fields.add({"Upgrade", protocol_, HeaderId::kUpgrade, true});
  }
}

void Http2ClientRequest::take_real_status() {
  for (Field& field : head_.fields) {
    if (field.name != kRealStatus) continue;
    int status = 0;
    const char* const end = field.value.data() + field.value.size();
    const auto parsed = std::from_chars(field.value.data(), end, status);
    if (parsed.ptr == end && status / 100 == 2) head_.status = status;
    return head_.fields.remove(&field);
  }
}

void Http2ClientRequest::body_comes() { readable_.notify(); }

void Http2ClientRequest::give_up(const Error& error, Reset reason) {
  remote_ended_ = false;
  detach(reason);
  failure_ = error;
  readable_.notify();
  writable_.notify();
}

void Http2ClientRequest::cancel() {
  cancelled_ = true;
  // Why it failed stays to be told: it may have been unprocessed().
  if (failure_ && !remote_ended_) return;
  give_up({.code = Code::kCancelled, .place = "request"}, Reset::kCancel);
}

// ---- writing ----------------------------------------------------------------

Task<Result<void>> Http2ClientRequest::write(std::string_view bytes, Duration progress_max) {
  if (bytes.empty()) return Task<Result<void>>::ready({});
  return send_part(bytes, false, progress_max);
}

Task<Result<void>> Http2ClientRequest::write_last(std::string_view bytes, Duration progress_max) {
  return send_part(bytes, true, progress_max);
}

Task<Result<void>> Http2ClientRequest::send_part(std::string_view bytes, bool last, Duration progress_max) {
  using Ready = Task<Result<void>>;
  if (end_sent_) return Ready::ready({});
  if (!attached()) return Ready::ready(std::unexpected(failure_.value_or(Error{.code = Code::kClosed})));
  send(bytes, last);
  if (sent() && !failure_) return Ready::ready({});
  return wait_until_sent(progress_max);
}

Task<Result<void>> Http2ClientRequest::wait_until_sent(Duration progress_max) {
  uint64_t left = unsent();
  while (!sent()) {
    const Result<void> woken = co_await writable_.wait(reactor_, reactor_.now() + progress_max);
    if (!attached()) break;
    if (!woken && unsent() == left) co_return woken;
    left = unsent();
  }
  if (failure_ && !end_sent_) co_return std::unexpected(*failure_);
  if (!attached() && !end_sent_) co_return fail(Code::kClosed, "request");
  co_return Result<void>();
}

// ---- reading ----------------------------------------------------------------

Task<Result<void>> Http2ClientRequest::read_head(Time deadline) {
  for (;;) {
    const Result<bool> complete = read_head_now();
    if (!complete) co_return std::unexpected(complete.error());
    if (*complete) co_return Result<void>();
    if (reactor_.now() >= deadline) co_return fail(Code::kTimeout, "response");
    (void)co_await readable(deadline);
  }
}

Result<bool> Http2ClientRequest::read_head_now() {
  if (failure_ && !(head_done_ && remote_ended_)) return std::unexpected(*failure_);
  return head_done_;
}

Result<std::string_view> Http2ClientRequest::take_body() {
  const Result<std::string_view> piece = take_now();
  if (!piece && piece.error().code == Code::kWouldBlock) return std::string_view();
  return piece;
}

Task<Result<std::string_view>> Http2ClientRequest::read_body(Duration idle_max) {
  Result<std::string_view> piece = take_now();
  if (piece || piece.error().code != Code::kWouldBlock) {
    return Task<Result<std::string_view>>::ready(piece);
  }
  return wait_for_body(idle_max);
}

Task<Result<std::string_view>> Http2ClientRequest::wait_for_body(Duration idle_max) {
  const Time deadline = reactor_.now() + idle_max;
  for (;;) {
    const Result<void> woken = co_await readable_.wait(reactor_, deadline);
    Result<std::string_view> piece = take_now();
    if (piece || piece.error().code != Code::kWouldBlock) co_return piece;
    if (!woken) co_return std::unexpected(woken.error());
  }
}

Task<Result<void>> Http2ClientRequest::buffer_body(Time deadline) {
  const bool fits = !head_.has_content_length || head_.content_length <= limits_->stream_window;
  while (fits && !remote_ended_ && body_.size() < limits_->stream_window) {
    if (failure_) co_return std::unexpected(*failure_);
    if (reactor_.now() >= deadline) co_return fail(Code::kTimeout, "response body");
    (void)co_await readable_.wait(reactor_, deadline);
  }
  co_return Result<void>();
}

}  // namespace terrace::http

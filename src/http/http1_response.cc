// The writing half of an HTTP/1 exchange.

#include <sys/socket.h>

#include "base/assert.h"
#include "http/http1_exchange.h"
#include "http/writer.h"

namespace terrace::http {
namespace {

// Pieces up to this size are copied behind what is to be sent already: one send
// of few bytes is cheaper than a gathering one.
constexpr size_t kCopyMax = 4096;
// The most that one sendfile(2) moves before others get their turn.
constexpr uint64_t kSendFileMax = 1 << 20;

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kLastChunk = "0\r\n\r\n";
constexpr std::string_view kLineEndAndLastChunk = "\r\n0\r\n\r\n";

const Error kTooSlow{.code = Code::kTimeout, .place = "response", .text = "slower than the minimum rate"};

iovec part_of(std::string_view bytes) { return {const_cast<char*>(bytes.data()), bytes.size()}; }

// Fields that the exchange itself writes; what a handler says of them is dropped.
bool owned_by_protocol(const Field& field) {
  switch (field.id) {
    case HeaderId::kConnection:
    case HeaderId::kContentLength:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxyConnection:
    case HeaderId::kTransferEncoding:
    case HeaderId::kTrailer:
    case HeaderId::kUpgrade:
      return true;
    default:
      return field.hop_by_hop;
  }
}

}  // namespace

bool Http1Exchange::body_forbidden() const {
  return head_.method == Method::kHead || status_ == 204 || status_ == 304 || status_ < 200;
}

// Decided with the head of the response, which has to say so.
bool Http1Exchange::will_keep_alive(std::optional<uint64_t> length) const {
  if (!head_.keep_alive || body_failed_ || connection_->server().closes()) return false;
  if (head_.http_1_0 && !length && !no_body_) return false;
  if (body_done_) return true;
  // A body that nobody read yet: short ones are taken in afterwards.
  if (continue_pending_) return false;
  return head_.framing == Framing::kChunked || body_remaining_ <= 65536;
}

void Http1Exchange::begin(const ResponseHead& head, std::optional<uint64_t> length) {
  ASSERT(!begun_);
  begun_ = true;
  status_ = head.status;
  tunnel_ = head.status == 101;
  no_body_ = body_forbidden() && !tunnel_;
  keep_alive_ = will_keep_alive(length) && !tunnel_;
  if (length) {
    framing_ = Framing::kLength;
    length_remaining_ = *length;
  } else {
    framing_ = head_.http_1_0 || tunnel_ ? Framing::kUntilClose : Framing::kChunked;
  }
  if (!out_) out_ = reactor().buffers().take();
  if (!out_) {
    abort();
    return;
  }
  write_head(head, length);
}

void Http1Exchange::write_head(const ResponseHead& head, std::optional<uint64_t> length) {
  HeadWriter writer({out_.data(), Buffer::size()});
  writer.status_line(head.status);
  bool dated = false;
  for (const Field& field : head.fields) {
    if (owned_by_protocol(field)) continue;
    dated |= field.id == HeaderId::kDate;
    writer.field(field.name, field.value);
  }
  if (!dated) writer.field("Date", connection_->server().date());
  if (tunnel_) {
    writer.field("Connection", "Upgrade");
    writer.field("Upgrade", head.fields.value(HeaderId::kUpgrade));
  } else if (!keep_alive_) {
    writer.field("Connection", "close");
  } else if (head_.http_1_0) {
    writer.field("Connection", "keep-alive");
  }
  const bool sized = status_ != 204 && status_ != 304 && status_ >= 200;
  if (sized && length) writer.field("Content-Length", *length);
  if (sized && !length && framing_ == Framing::kChunked && !no_body_)
    writer.field("Transfer-Encoding", "chunked");
  writer.end();
  out_used_ = writer.written().size();
  if (writer.overflow()) abort();
}

Task<Result<void>> Http1Exchange::respond(const ResponseHead& head, std::string_view body) {
  begin(head, body.size());
  return write_part(body, true);
}

void Http1Exchange::append(std::string_view bytes) {
  if (out_used_ + bytes.size() <= Buffer::size() && bytes.size() <= kCopyMax && parts_count_ == 0) {
    std::copy(bytes.begin(), bytes.end(), out_.data() + out_used_);
    out_used_ += bytes.size();
    return;
  }
  if (parts_count_ == 0 && out_used_ > 0) {
    parts_[0] = {out_.data(), out_used_};
    parts_count_ = 1;
  }
  parts_[static_cast<size_t>(parts_count_++)] = part_of(bytes);
}

Task<Result<void>> Http1Exchange::write_part(std::string_view bytes, bool last) {
  using Ready = Task<Result<void>>;
  ASSERT(begun_ && !finished_);
  if (broken_) return Ready::ready(fail(Code::kClosed, "response"));
  if (no_body_) bytes = {};
  if (framing_ == Framing::kLength && !no_body_) {
    if (bytes.size() > length_remaining_ || (last && bytes.size() != length_remaining_)) {
      abort();
      return Ready::ready(fail(Code::kInvalid, "response", "not the promised length"));
    }
    length_remaining_ -= bytes.size();
  }
  const bool chunked = framing_ == Framing::kChunked && !no_body_;
  if (!bytes.empty()) {
    if (chunked) append({chunk_line_.data(), write_chunk_line(bytes.size(), chunk_line_)});
    append(bytes);
    if (chunked) append(last ? kLineEndAndLastChunk : kLineEnd);
    sent_ += bytes.size();
  } else if (chunked && last) {
    append(kLastChunk);
  }
  finished_ = last;
  if (tunnel_ && last) return half_close();
  return send_pending();
}

Task<Result<void>> Http1Exchange::flush() {
  if (broken_) return Task<Result<void>>::ready(fail(Code::kClosed, "response"));
  return send_pending();
}

Task<Result<void>> Http1Exchange::half_close() {
  const Result<void> sent = co_await send_pending();
  if (!sent) co_return sent;
  co_return stream().shutdown_write();
}

std::unexpected<Error> Http1Exchange::client_gone(const Error& error) {
  broken_ = true;
  return std::unexpected(error);
}

// Tries once. True when all is out, false when the socket is full.
Result<bool> Http1Exchange::write_parts_now() {
  if (parts_count_ == 0) {
    if (out_used_ == 0) return true;
    parts_[0] = {out_.data(), out_used_};
    parts_count_ = 1;
  }
  const auto parts = std::span(parts_).first(static_cast<size_t>(parts_count_));
  const Result<size_t> written =
      parts_count_ == 1 ? stream().write_now({static_cast<const char*>(parts[0].iov_base), parts[0].iov_len})
                        : stream().write_now(parts);
  if (!written && written.error().code == Code::kWouldBlock) return false;
  if (!written) return client_gone(written.error());
  size_t left = *written;
  int done = 0;
  for (iovec& part : parts) {
    const size_t step = std::min(left, part.iov_len);
    part.iov_base = static_cast<char*>(part.iov_base) + step;
    part.iov_len -= step;
    left -= step;
    if (part.iov_len == 0) ++done;
    if (part.iov_len != 0) break;
  }
  if (done == parts_count_) {
    parts_count_ = 0;
    out_used_ = 0;
    return true;
  }
  std::copy(parts_.begin() + done, parts_.begin() + parts_count_, parts_.begin());
  parts_count_ -= done;
  return false;
}

Task<Result<void>> Http1Exchange::send_pending() {
  const Result<bool> all = write_parts_now();
  if (!all) return Task<Result<void>>::ready(std::unexpected(all.error()));
  if (*all) return Task<Result<void>>::ready({});
  return send_pending_slowly();
}

Task<Result<void>> Http1Exchange::send_pending_slowly() {
  const Time begun = reactor().now();
  const size_t to_send = unsent();
  for (;;) {
    const Duration limit = tunnel_ ? limits().tunnel_idle_max : limits().progress_max;
    const Result<void> ready = co_await stream().writable(reactor().now() + limit);
    if (!ready) co_return client_gone(ready.error());
    const Result<bool> all = write_parts_now();
    if (!all) co_return std::unexpected(all.error());
    if (*all) co_return Result<void>();
    if (!tunnel_ && is_too_slow(limits(), to_send - unsent(), reactor().now() - begun))
      co_return client_gone(kTooSlow);
  }
}

// What stands in parts_.
size_t Http1Exchange::unsent() const {
  size_t bytes = 0;
  for (int i = 0; i < parts_count_; ++i) bytes += parts_[static_cast<size_t>(i)].iov_len;
  return bytes;
}

Task<Result<void>> Http1Exchange::send_file(int file, off_t offset, uint64_t bytes) {
  using Ready = Task<Result<void>>;
  ASSERT(begun_ && !finished_ && (framing_ == Framing::kLength || no_body_));
  if (broken_) return Ready::ready(fail(Code::kClosed, "response"));
  if (no_body_) return send_pending();
  ASSERT(bytes <= length_remaining_);
  if (out_used_ > 0) {
    // The head rides in the first packet of the file.
    const Result<size_t> head = stream().write_now({out_.data(), out_used_}, true);
    if (!head && head.error().code != Code::kWouldBlock) return Ready::ready(client_gone(head.error()));
    if (!head || *head < out_used_) {
      parts_[0] = {out_.data() + head.value_or(0), out_used_ - head.value_or(0)};
      parts_count_ = 1;
      return send_file_slowly(file, offset, bytes);
    }
    out_used_ = 0;
  }
  const Result<size_t> sent = stream().send_file_now(file, offset, std::min(bytes, kSendFileMax));
  if (sent) {
    sent_ += *sent;
    length_remaining_ -= *sent;
    bytes -= *sent;
    if (bytes == 0) return Ready::ready({});
  }
  return send_file_slowly(file, offset, bytes);
}

Task<Result<void>> Http1Exchange::send_file_slowly(int file, off_t offset, uint64_t bytes) {
  if (parts_count_ > 0) {
    const Result<void> head = co_await send_pending_slowly();
    if (!head) co_return head;
  }
  const Time begun = reactor().now();
  uint64_t total = 0;
  while (bytes > 0) {
    const Result<size_t> sent = stream().send_file_now(file, offset, std::min(bytes, kSendFileMax));
    if (sent) {
      sent_ += *sent;
      length_remaining_ -= *sent;
      bytes -= *sent;
      total += *sent;
      co_await yield(reactor());
      continue;
    }
    if (sent.error().code != Code::kWouldBlock) {
      abort();
      co_return std::unexpected(sent.error());
    }
    const Result<void> ready = co_await stream().writable(reactor().now() + limits().progress_max);
    if (!ready) co_return client_gone(ready.error());
    if (is_too_slow(limits(), total, reactor().now() - begun)) co_return client_gone(kTooSlow);
  }
  co_return Result<void>();
}

void Http1Exchange::cancel() {
  broken_ = true;
  stream().cancel();
}

void Http1Exchange::abort() {
  broken_ = true;
  // A reset, not an end: the client must not take a part for the whole.
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(stream().descriptor(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

}  // namespace terrace::http

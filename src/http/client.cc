#include "http/client.h"

#include <array>
#include <cstring>

#include "http/writer.h"

namespace terrace::http {
namespace {

// A backend that sends more 1xx heads than this before its answer is broken.
constexpr int kInformationalMax = 16;

// A chunk (RFC 9112 section 7.1) in the parts that one write sends, less the first
// `written` bytes of it.
class Chunk {
 public:
  Chunk(std::string_view bytes, bool last, size_t written) {
    if (!bytes.empty()) {
      add({line_.data(), write_chunk_line(bytes.size(), line_)}, written);
      add(bytes, written);
      add("\r\n", written);
    }
    if (last) add("0\r\n\r\n", written);
  }
  Chunk(const Chunk&) = delete;
  Chunk& operator=(const Chunk&) = delete;
  std::span<const iovec> parts() const { return std::span(parts_).first(count_); }
  size_t bytes() const { return bytes_; }

 private:
  void add(std::string_view part, size_t& written) {
    const size_t skipped = std::min(written, part.size());
    written -= skipped;
    part.remove_prefix(skipped);
    if (part.empty()) return;
    parts_[count_++] = {const_cast<char*>(part.data()), part.size()};
    bytes_ += part.size();
  }
  std::array<char, 24> line_;
  std::array<iovec, 4> parts_;
  size_t count_ = 0;
  size_t bytes_ = 0;
};

}  // namespace

void ClientConnection::start(Method method, Framing framing) {
  method_ = method;
  sending_ = framing;
  parser_.reset();
  chunks_.reset();
  begin_ = end_ = head_end_ = 0;
  remaining_ = 0;
  informational_ = 0;
  body_done_ = answered_ = broken_ = false;
}

Task<Result<void>> ClientConnection::write_head(std::string_view bytes, Duration progress_max) {
  const Result<size_t> written = stream_.write_now(bytes);
  if (written && *written == bytes.size()) return Task<Result<void>>::ready({});
  if (!written && written.error().code != Code::kWouldBlock) {
    return Task<Result<void>>::ready(std::unexpected(written.error()));
  }
  return stream_.write_all(bytes.substr(written.value_or(0)), progress_max);
}

Task<Result<void>> ClientConnection::write(std::string_view bytes, Duration progress_max) {
  if (sending_ == Framing::kChunked) return write_chunk(bytes, false, progress_max);
  return write_head(bytes, progress_max);
}

Task<Result<void>> ClientConnection::write_last(std::string_view bytes, Duration progress_max) {
  if (sending_ == Framing::kChunked) return write_chunk(bytes, true, progress_max);
  if (!bytes.empty()) return write_head(bytes, progress_max);
  if (head_.status == 101) return Task<Result<void>>::ready(stream_.shutdown_write());
  return Task<Result<void>>::ready({});
}

Task<Result<void>> ClientConnection::write_chunk(std::string_view bytes, bool last, Duration progress_max) {
  const Chunk chunk(bytes, last, 0);
  if (chunk.bytes() == 0) return Task<Result<void>>::ready({});
  const Result<size_t> written = stream_.write_now(chunk.parts());
  if (written && *written == chunk.bytes()) return Task<Result<void>>::ready({});
  if (!written && written.error().code != Code::kWouldBlock) {
    return Task<Result<void>>::ready(std::unexpected(written.error()));
  }
  return write_chunk_slowly(bytes, last, written.value_or(0), progress_max);
}

Task<Result<void>> ClientConnection::write_chunk_slowly(std::string_view bytes, bool last, size_t written,
                                                        Duration progress_max) {
  for (;;) {
    const Result<void> ready = co_await stream_.writable(reactor_.now() + progress_max);
    if (!ready) co_return ready;
    const Chunk rest(bytes, last, written);
    const Result<size_t> more = stream_.write_now(rest.parts());
    if (!more && more.error().code == Code::kWouldBlock) continue;
    if (!more) co_return std::unexpected(more.error());
    written += *more;
    if (*more == rest.bytes()) co_return Result<void>();
  }
}

Result<size_t> ClientConnection::fill_now() {
  if (!in_) in_ = reactor_.buffers().take();
  if (!in_) return fail(Code::kLimit, "response", "no buffer left");
  if (end_ == Buffer::size()) return fail(Code::kLimit, "response", "the head does not fit");
  const Result<size_t> n = stream_.read_now({in_.data() + end_, Buffer::size() - end_});
  if (n) {
    end_ += *n;
    answered_ |= *n > 0;
  }
  return n;
}

// True when the head of the real response is complete.
Result<bool> ClientConnection::parse_head() {
  for (;;) {
    const Parsed parsed = parser_.parse(unread(), limits_, method_, head_);
    if (parsed == Parsed::kIncomplete) return false;
    if (parsed == Parsed::kRefused) return fail(Code::kInvalid, "response", parser_.refusal().text);
    begin_ += parser_.head_bytes();
    if (head_.status >= 200 || head_.status == 101) break;
    if (++informational_ > kInformationalMax) return fail(Code::kInvalid, "response", "endless 1xx");
    std::memmove(in_.data(), in_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    parser_.reset();
  }
  head_end_ = begin_;
  remaining_ = head_.content_length;
  body_done_ = head_.framing == Framing::kNone || (head_.framing == Framing::kLength && remaining_ == 0);
  return true;
}

Result<bool> ClientConnection::read_head_now() {
  while (stream_.maybe_readable()) {
    const Result<size_t> n = fill_now();
    if (!n && n.error().code == Code::kWouldBlock) break;
    if (!n) return std::unexpected(n.error());
    if (*n == 0) return fail(Code::kClosed, "response");
    const Result<bool> complete = parse_head();
    if (!complete || *complete) return complete;
  }
  return false;
}

Result<std::string_view> ClientConnection::take_chunked() {
  while (begin_ < end_) {
    const ChunkDecoder::Step step = chunks_.decode(unread());
    begin_ += step.consumed;
    if (step.state == Parsed::kRefused) {
      broken_ = true;
      return fail(Code::kInvalid, "response body", chunks_.refusal().text);
    }
    body_done_ = step.state == Parsed::kDone;
    if (body_done_ || !step.data.empty()) return step.data;
  }
  return std::string_view();
}

Result<std::string_view> ClientConnection::take_body() {
  if (body_done_ || begin_ == end_) return std::string_view();
  if (head_.framing == Framing::kChunked) return take_chunked();
  std::string_view piece = unread();
  if (head_.framing == Framing::kLength) {
    piece = piece.substr(0, remaining_);
    remaining_ -= piece.size();
    body_done_ = remaining_ == 0;
  }
  begin_ += piece.size();
  return piece;
}

Task<Result<std::string_view>> ClientConnection::read_body(Duration idle_max) {
  Result<std::string_view> piece = take_body();
  if (!piece || !piece->empty() || body_done_) return Task<Result<std::string_view>>::ready(piece);
  return wait_for_body(idle_max);
}

Task<Result<std::string_view>> ClientConnection::wait_for_body(Duration idle_max) {
  for (;;) {
    begin_ = end_ = head_end_;
    const Result<size_t> n = fill_now();
    if (n && *n > 0) {
      Result<std::string_view> piece = take_body();
      if (!piece || !piece->empty() || body_done_) co_return piece;
      continue;
    }
    if (n && head_.framing == Framing::kUntilClose) {
      body_done_ = true;
      co_return std::string_view();
    }
    if (n) co_return fail(Code::kClosed, "response body", "cut short");
    if (n.error().code != Code::kWouldBlock) co_return std::unexpected(n.error());
    const Result<void> ready = co_await stream_.readable(reactor_.now() + idle_max);
    if (!ready) co_return std::unexpected(ready.error());
  }
}

Task<Result<void>> ClientConnection::buffer_body(Time deadline) {
  while (head_.framing == Framing::kLength && end_ - begin_ < remaining_ &&
         begin_ + remaining_ <= Buffer::size()) {
    const Result<size_t> n = fill_now();
    if (n && *n == 0) co_return fail(Code::kClosed, "response body", "cut short");
    if (n) continue;
    if (n.error().code != Code::kWouldBlock) co_return std::unexpected(n.error());
    const Result<void> ready = co_await stream_.readable(deadline);
    if (!ready) co_return ready;
  }
  co_return Result<void>();
}

Task<Result<std::string_view>> ClientConnection::read_tunnel(Duration idle_max) {
  for (;;) {
    if (begin_ < end_) {
      const std::string_view piece = unread();
      begin_ = end_;
      co_return piece;
    }
    begin_ = end_ = head_end_;
    const Result<size_t> n = fill_now();
    if (n && *n == 0) co_return std::string_view();
    if (n) continue;
    if (n.error().code != Code::kWouldBlock) co_return std::unexpected(n.error());
    const Result<void> ready = co_await stream_.readable(reactor_.now() + idle_max);
    if (!ready) co_return std::unexpected(ready.error());
  }
}

bool ClientConnection::reusable() {
  // After a 101 it no longer speaks HTTP, whether anybody asked for that or not.
  if (broken_ || stream_.cancelled() || !body_done_ || !head_.keep_alive || head_.status == 101 ||
      head_.framing == Framing::kUntilClose || begin_ != end_) {
    return false;
  }
  if (!stream_.maybe_readable()) return true;
  // A full read may have left the flag set: only an empty socket is clean.
  char byte[1];
  const Result<size_t> n = stream_.read_now(byte);
  return !n && n.error().code == Code::kWouldBlock;
}

std::unique_ptr<ClientConnection> ClientPool::take(Time now, Duration idle_max) {
  while (!idle_.empty()) {
    // Those below have been idle for longer.
    if (now - idle_.back().since > idle_max) return nullptr;
    std::unique_ptr<ClientConnection> connection = std::move(idle_.back().connection);
    idle_.pop_back();
    if (connection->fresh()) return connection;
  }
  return nullptr;
}

void ClientPool::put(std::unique_ptr<ClientConnection> connection, Time now) {
  connection->release();
  if (idle_.size() >= kIdleCountMax) return;
  idle_.push_back({std::move(connection), now});
}

void ClientPool::sweep(Time now) {
  size_t old = 0;
  while (old < idle_.size() && now - idle_[old].since > kIdleMax) ++old;
  idle_.erase(idle_.begin(), idle_.begin() + static_cast<ptrdiff_t>(old));
}

}  // namespace terrace::http

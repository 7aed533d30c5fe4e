#include "http/client.h"

#include <cstring>

namespace terrace::http {
namespace {

// A backend that sends more 1xx heads than this before its answer is broken.
constexpr int kInformationalMax = 16;

}  // namespace

void ClientConnection::start(Method method) {
  method_ = method;
  parser_.reset();
  chunks_.reset();
  begin_ = end_ = head_end_ = 0;
  remaining_ = 0;
  informational_ = 0;
  body_done_ = answered_ = broken_ = false;
}

Task<Result<void>> ClientConnection::write(std::string_view bytes, Duration progress_max) {
  const Result<size_t> written = stream_.write_now(bytes);
  if (written && *written == bytes.size()) return Task<Result<void>>::ready({});
  if (!written && written.error().code != Code::kWouldBlock) {
    return Task<Result<void>>::ready(std::unexpected(written.error()));
  }
  return stream_.write_all(bytes.substr(written.value_or(0)), progress_max);
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

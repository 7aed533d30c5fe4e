#include "net/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/assert.h"
#include "net/tls.h"
#include "net/tls_session.h"

namespace terrace::net {
namespace {

// For how long, and how many bytes, a refused peer may go on before the connection ends.
constexpr Duration kLingerMax = std::chrono::seconds(1);
constexpr size_t kLingerBytesMax = 65536;

// What a failed call on a socket means. A broken connection is kClosed.
std::unexpected<Error> fail_socket(const char* place) {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return fail(Code::kWouldBlock, place);
  Error error{.code = Code::kSystem, .system = errno, .place = place};
  if (errno == ECONNRESET || errno == EPIPE || errno == ETIMEDOUT) error.code = Code::kClosed;
  return std::unexpected(error);
}

}  // namespace

void Stream::Deadline::expired() {
  Watch& watch = stream->watch_;
  std::coroutine_handle<>& waiter = reading ? watch.reader : watch.writer;
  if (!waiter) return;  // left armed by a wait that ended in time
  passed = true;
  watch.reactor().resume_later(std::exchange(waiter, nullptr));
}

void Stream::Wait::await_suspend(std::coroutine_handle<> waiting) noexcept {
  Deadline& deadline = reading_ ? stream_.read_deadline_ : stream_.write_deadline_;
  std::coroutine_handle<>& waiter = reading_ ? stream_.watch_.reader : stream_.watch_.writer;
  ASSERT(!waiter);
  waiter = waiting;
  suspended_ = true;
  deadline.passed = false;
  // Left armed when the wait ends: the next wait only moves it.
  stream_.reactor().timers().arm(deadline, deadline_);
}

Result<void> Stream::Wait::await_resume() noexcept {
  if (stream_.cancelled_) return fail(Code::kCancelled, reading_ ? "read" : "write");
  if (reading_ && std::exchange(stream_.read_interrupted_, false)) return fail(Code::kCancelled, "read");
  if (suspended_ && (reading_ ? stream_.read_deadline_ : stream_.write_deadline_).passed) {
    return fail(Code::kTimeout, reading_ ? "read" : "write");
  }
  return {};
}

Stream::Stream() = default;

Stream::~Stream() { close(); }

Result<void> Stream::open(Reactor& reactor, Descriptor socket) {
  ASSERT(!socket_);
  const Result<void> watched = watch_.start(reactor, socket.get());
  if (!watched) return watched;
  socket_ = std::move(socket);
  cancelled_ = read_interrupted_ = false;
  read_deadline_.stream = write_deadline_.stream = this;
  read_deadline_.reading = true;
  // A new socket can be written to, and often has bytes already.
  watch_.writable = watch_.readable = true;
  return {};
}

Task<Result<void>> Stream::connect(Reactor& reactor, const Address& address, Time deadline) {
  Descriptor socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) co_return fail_system("socket");
  if (address.family() != AF_UNIX) {
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  const int started = ::connect(socket.get(), address.get(), address.length());
  if (started != 0 && errno != EINPROGRESS) co_return fail_system("connect");
  const Result<void> opened = open(reactor, std::move(socket));
  if (!opened) co_return opened;
  watch_.readable = false;
  if (started == 0) co_return Result<void>();
  watch_.writable = false;
  const Result<void> waited = co_await writable(deadline);
  int problem = 0;
  socklen_t length = sizeof problem;
  ::getsockopt(descriptor(), SOL_SOCKET, SO_ERROR, &problem, &length);
  if (waited && problem == 0) co_return Result<void>();
  close();
  if (!waited) co_return std::unexpected(waited.error());
  co_return fail_system("connect", problem);
}

void Stream::close() {
  if (!socket_) return;
  ASSERT(!watch_.reader && !watch_.writer);
  read_deadline_.disarm();
  write_deadline_.disarm();
  if (tls_) {
    tls_->say_end();
    tls_.reset();
  }
  watch_.stop();
  socket_.reset();
}

Descriptor Stream::release() {
  ASSERT(!watch_.reader && !watch_.writer && !tls_);
  read_deadline_.disarm();
  write_deadline_.disarm();
  watch_.stop();
  return std::move(socket_);
}

void Stream::abort() {
  if (!socket_) return;
  tls_.reset();  // without a word of an end
  const ::linger reset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(descriptor(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close();
}

Result<size_t> Stream::read_now(std::span<char> into) {
  if (tls_) [[unlikely]]
    return tls_->read_now(into);
  const ssize_t n = ::recv(descriptor(), into.data(), into.size(), 0);
  if (n < 0) {
    if (errno == EAGAIN) watch_.readable = false;
    return fail_socket("recv");
  }
  // A short read has emptied the socket: the next bytes bring a new edge. Not so
  // when the end is near: its edge may have come with these bytes (epoll(7)).
  if (static_cast<size_t>(n) < into.size() && n > 0 && !watch_.hung_up) watch_.readable = false;
  return static_cast<size_t>(n);
}

Result<size_t> Stream::write_now(std::string_view bytes, bool more) {
  if (cancelled_) return fail(Code::kCancelled, "write");
  if (tls_) [[unlikely]]
    return tls_->write_now(bytes, more);
  const ssize_t n = ::send(descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL | (more ? MSG_MORE : 0));
  if (n >= 0) return static_cast<size_t>(n);
  if (errno == EAGAIN) watch_.writable = false;
  return fail_socket("send");
}

Result<size_t> Stream::write_now(std::span<const iovec> parts) {
  if (cancelled_) return fail(Code::kCancelled, "write");
  if (tls_) [[unlikely]]
    return tls_->write_now(parts);
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  const ssize_t n = ::sendmsg(descriptor(), &message, MSG_NOSIGNAL);
  if (n >= 0) return static_cast<size_t>(n);
  if (errno == EAGAIN) watch_.writable = false;
  return fail_socket("sendmsg");
}

Result<size_t> Stream::send_file_now(int file, off_t& offset, size_t bytes) {
  if (cancelled_) return fail(Code::kCancelled, "write");
  if (tls_) [[unlikely]]
    return tls_->send_file_now(file, offset, bytes);
  const ssize_t n = ::sendfile(descriptor(), file, &offset, bytes);
  if (n > 0) return static_cast<size_t>(n);
  if (n == 0) return fail(Code::kInvalid, "sendfile", "the file became shorter");
  if (errno == EAGAIN) watch_.writable = false;
  return fail_socket("sendfile");
}

Result<void> Stream::shutdown_write() {
  if (tls_) return tls_->shutdown_write();
  if (::shutdown(descriptor(), SHUT_WR) != 0) return fail_system("shutdown");
  return {};
}

Task<Result<void>> Stream::write_all(std::string_view bytes, Duration progress_max) {
  while (!bytes.empty()) {
    const Result<size_t> written = write_now(bytes);
    if (written) {
      bytes.remove_prefix(*written);
      continue;
    }
    if (written.error().code != Code::kWouldBlock) co_return std::unexpected(written.error());
    const Result<void> waited = co_await writable(reactor().now() + progress_max);
    if (!waited) co_return waited;
  }
  co_return Result<void>();
}

Task<Result<void>> Stream::start_tls(std::shared_ptr<const TlsContext> context,
                                     std::string_view expected_name, Time deadline) {
  ASSERT(socket_ && !tls_);
  Result<std::unique_ptr<TlsSession>> made =
      TlsSession::make(std::move(context), watch_, descriptor(), expected_name);
  if (!made) co_return std::unexpected(made.error());
  tls_ = std::move(*made);
  const Result<void> done = co_await handshake(deadline);
  if (!done && done.error().code == Code::kInvalid) co_await linger(deadline);
  co_return done;
}

Task<Result<void>> Stream::handshake(Time deadline) {
  for (;;) {
    const Result<void> done = tls_->handshake_now();
    if (done || done.error().code != Code::kWouldBlock) co_return done;
    const bool reading = !tls_->unsent();
    Wait wait(*this, reading, deadline);
    const Result<void> waited = co_await wait;
    if (!waited) co_return waited;
  }
}

// The alert that says why has been sent. A socket that is closed with bytes unread
// sends a reset, which may overtake it: read what the peer had on its way, but not
// for long and not for ever.
Task<void> Stream::linger(Time deadline) {
  deadline = std::min(deadline, reactor().now() + kLingerMax);
  ::shutdown(descriptor(), SHUT_WR);
  for (size_t left = kLingerBytesMax; left > 0;) {
    char unwanted[4096];
    const ssize_t n = ::recv(descriptor(), unwanted, std::min(sizeof unwanted, left), 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) co_return;
    if (n > 0) {
      left -= static_cast<size_t>(n);
      continue;
    }
    watch_.readable = false;
    const Result<void> waited = co_await readable(deadline);
    if (!waited) co_return;
  }
}

std::string_view Stream::peer_certificate() const {
  return tls_ ? std::string_view(tls_->peer_certificate()) : std::string_view();
}

std::string_view Stream::refused_certificate() const {
  return tls_ ? std::string_view(tls_->refused_certificate()) : std::string_view();
}

void Stream::interrupt_read() {
  if (!watch_.reader) return;
  read_interrupted_ = true;
  reactor().resume_later(std::exchange(watch_.reader, nullptr));
}

void Stream::cancel() {
  if (!socket_) return;
  cancelled_ = true;
  for (std::coroutine_handle<>* waiter : {&watch_.reader, &watch_.writer}) {
    if (*waiter) reactor().resume_later(std::exchange(*waiter, nullptr));
  }
}

}  // namespace terrace::net

#pragma once

#include <sys/uio.h>

#include <span>
#include <string_view>

#include "base/descriptor.h"
#include "net/address.h"
#include "reactor/reactor.h"
#include "reactor/task.h"

namespace terrace::net {

// A connected byte stream, TCP or Unix. It stays where it was made (the reactor
// knows its address) and belongs to one core. Calls that say `now` never wait:
// they do what the kernel takes at once and return kWouldBlock when that is
// nothing. To wait, await readable() or writable() with a deadline, then call
// again. One coroutine may wait for each direction at a time.
class Stream {
 public:
  Stream() = default;
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Takes a connected non-blocking socket over.
  Result<void> open(Reactor& reactor, Descriptor socket);
  // Connects; fails with kTimeout at the deadline.
  Task<Result<void>> connect(Reactor& reactor, const Address& address, Time deadline);
  bool is_open() const { return static_cast<bool>(socket_); }
  // Closes at once. Nobody may be waiting: cancel() first, then join who waits.
  void close();
  // Closes with a reset, so that the peer cannot take what it got for complete.
  void abort();

  // Bytes read, 0 at the end of the stream, kWouldBlock when none are there.
  Result<size_t> read_now(std::span<char> into);
  // Bytes written, fewer than given when the socket is full, kWouldBlock at 0.
  // `more`: other bytes follow at once, do not send a small packet for these.
  Result<size_t> write_now(std::string_view bytes, bool more = false);
  Result<size_t> write_now(std::span<const iovec> parts);
  // sendfile(2): from `file` at `offset`, which it moves; the page cache is not copied.
  Result<size_t> send_file_now(int file, off_t& offset, size_t bytes);
  // Says "no more from us" (half-close).
  Result<void> shutdown_write();

  // Waits until reading or writing may do something. kTimeout at the deadline,
  // kCancelled after cancel().
  class [[nodiscard]] Wait;
  Wait readable(Time deadline);
  Wait writable(Time deadline);
  // Writes all of it, waiting at most until the deadline for each bit of progress.
  Task<Result<void>> write_all(std::string_view bytes, Duration progress_max);

  // Whoever waits gets kCancelled, and so does every later wait and every write.
  void cancel();
  bool cancelled() const { return cancelled_; }
  // Who waits to read gets kCancelled, this once.
  void interrupt_read();
  // The peer has ended its side, or the connection broke.
  bool peer_ended() const { return watch_.hung_up; }
  // Bytes, an end or an error are there to be read (may be a false alarm).
  bool maybe_readable() const { return watch_.readable; }
  Reactor& reactor() const { return watch_.reactor(); }
  int descriptor() const { return socket_.get(); }

 private:
  struct Deadline final : Timer {
    Stream* stream = nullptr;
    bool reading = false;
    bool passed = false;
    void expired() override;
  };

  Watch watch_;
  Descriptor socket_;
  bool cancelled_ = false;
  bool read_interrupted_ = false;
  Deadline read_deadline_;
  Deadline write_deadline_;
};

class [[nodiscard]] Stream::Wait {
 public:
  Wait(Stream& stream, bool reading, Time deadline)
      : stream_(stream), reading_(reading), deadline_(deadline) {}
  bool await_ready() const noexcept {
    return stream_.cancelled_ || (reading_ ? stream_.watch_.readable : stream_.watch_.writable);
  }
  void await_suspend(std::coroutine_handle<> waiting) noexcept;
  Result<void> await_resume() noexcept;

 private:
  Stream& stream_;
  bool reading_;
  bool suspended_ = false;
  Time deadline_;
};

inline Stream::Wait Stream::readable(Time deadline) { return {*this, true, deadline}; }
inline Stream::Wait Stream::writable(Time deadline) { return {*this, false, deadline}; }

}  // namespace terrace::net

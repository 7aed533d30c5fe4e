#pragma once

#include <sys/uio.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/descriptor.h"
#include "net/address.h"
#include "reactor/reactor.h"
#include "reactor/task.h"

namespace terrace::net {

class TlsContext;
class TlsSession;

// A connected byte stream, TCP or Unix. It stays where it was made (the reactor
// knows its address) and belongs to one core. Calls that say `now` never wait:
// they do what the kernel takes at once and return kWouldBlock when that is
// nothing. To wait, await readable() or writable() with a deadline, then call
// again. One coroutine may wait for each direction at a time.
//
// After start_tls() all of this holds for the bytes inside TLS (net/tls.h). Who got
// kWouldBlock from a write must write the same bytes again, as on a plain socket.
class Stream {
 public:
  Stream();
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
  // Gives the socket up to somebody else, with what has not been read from it; not in TLS.
  // Nobody may be waiting.
  Descriptor release();
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
  // Says "no more from us" (half-close). In TLS kWouldBlock when the socket is full.
  Result<void> shutdown_write();

  // Waits until reading or writing may do something. kTimeout at the deadline,
  // kCancelled after cancel().
  class [[nodiscard]] Wait;
  Wait readable(Time deadline);
  Wait writable(Time deadline);
  // Makes a TLS handshake, as the side that the context is for; the whole of it ends
  // at the deadline. `expected_name` goes to the context's verifier. After a failure
  // only close() is left to do; the error's text says why the peer was refused, or
  // how it refused us. The client learns the latter from its first read: the
  // server looks at its certificate last (RFC 8446 section 2).
  Task<Result<void>> start_tls(std::shared_ptr<const TlsContext> context, std::string_view expected_name,
                               Time deadline);
  bool encrypted() const { return tls_ != nullptr; }
  // The peer's certificate in DER; empty when it showed none, or without TLS.
  std::string_view peer_certificate() const;
  // What a peer showed that was refused, in DER: proves nothing, for a log.
  std::string_view refused_certificate() const;
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

  Task<Result<void>> handshake(Time deadline);
  Task<void> linger(Time deadline);

  Watch watch_;
  Descriptor socket_;
  std::unique_ptr<TlsSession> tls_;
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

#pragma once

#include <memory>
#include <vector>

#include "http/chunk.h"
#include "http/exchange.h"
#include "http/parser.h"
#include "net/stream.h"

namespace terrace::http {

// The client side of HTTP/1.1 (RFC 9112): one connection to a backend, one request
// at a time. What the backend sends is checked as strictly as what clients send;
// after anything odd the connection is not used again.
class ClientConnection final : public Cancellable {
 public:
  ClientConnection(Reactor& reactor, const HeadLimits& limits) : reactor_(reactor), limits_(limits) {}

  Task<Result<void>> connect(const net::Address& address, Time deadline) {
    return stream_.connect(reactor_, address, deadline);
  }
  net::Stream& stream() { return stream_; }
  // Whoever waits for the backend gets kCancelled; the connection is not used again.
  void cancel() override { stream_.cancel(); }
  bool cancelled() const { return stream_.cancelled(); }
  // False when the backend has closed, or sent bytes that nobody asked for.
  bool fresh() const { return stream_.is_open() && !stream_.maybe_readable(); }

  // Before a request: forgets the last response. `framing` is that of the request's body.
  void start(Method method, Framing framing = Framing::kNone);
  // Sends the head of a request as it is; kTimeout when the backend takes none of it for
  // `progress_max`. No frame when the socket takes all at once, here and in write().
  Task<Result<void>> write_head(std::string_view bytes, Duration progress_max);
  // Sends bytes of the body, as one chunk where they are chunked; of a tunnel as they are.
  Task<Result<void>> write(std::string_view bytes, Duration progress_max);
  // The same, with the end of the body behind them; of a tunnel, the end of our direction.
  Task<Result<void>> write_last(std::string_view bytes, Duration progress_max);
  // Reads what has come of the head of the response. True when it is complete, false
  // to be called again once readable(). 1xx heads before it are dropped, but 101 is
  // complete. kInvalid for anything that is not HTTP, kClosed for an end.
  Result<bool> read_head_now();
  // Waits until more of the head may be there; kTimeout at the deadline.
  net::Stream::Wait readable(Time deadline) { return stream_.readable(deadline); }
  const ResponseHead& head() const { return head_; }
  ResponseHead& head() { return head_; }
  // Any byte of a response has come: the backend did receive the request.
  bool answered() const { return answered_; }
  // The next piece of the body, at most `idle_max` after the last; empty at its end.
  // kClosed when it was cut short. The view is valid until the next call.
  Task<Result<std::string_view>> read_body(Duration idle_max);
  // The whole body is here: take_body() gives all of it.
  bool body_here() const { return head_.framing == Framing::kLength && end_ - begin_ >= remaining_; }
  // The piece that is here already, without waiting; empty when there is none.
  Result<std::string_view> take_body();
  bool body_done() const { return body_done_; }
  // Waits until all of a body of known length is here, if it fits the buffer.
  Task<Result<void>> buffer_body(Time deadline);
  // After a 101: raw bytes, empty at the end.
  Task<Result<std::string_view>> read_tunnel(Duration idle_max);
  // The response is over and the connection can carry another request.
  bool reusable();
  // Gives the input buffer back; views into it end.
  void release() { in_.release(); }

 private:
  std::string_view unread() const { return {in_.data() + begin_, end_ - begin_}; }
  Task<Result<void>> write_chunk(std::string_view bytes, bool last, Duration progress_max);
  Task<Result<void>> write_chunk_slowly(std::string_view bytes, bool last, size_t written,
                                        Duration progress_max);
  Result<size_t> fill_now();
  Result<bool> parse_head();
  Task<Result<std::string_view>> wait_for_body(Duration idle_max);
  Result<std::string_view> take_chunked();

  Reactor& reactor_;
  HeadLimits limits_;
  net::Stream stream_;
  Buffer in_;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t head_end_ = 0;
  ResponseParser parser_;
  ChunkDecoder chunks_;
  ResponseHead head_;
  Method method_ = Method::kGet;
  Framing sending_ = Framing::kNone;  // of the request's body
  uint64_t remaining_ = 0;
  int informational_ = 0;  // 1xx heads so far
  bool body_done_ = false;
  bool answered_ = false;
  bool broken_ = false;
};

// Idle connections of one core to one backend, the warmest first.
class ClientPool {
 public:
  // Backends close idle connections at a time of their own; ours go before the
  // shortest that is common (5 s in Node).
  static constexpr Duration kIdleMax = std::chrono::seconds(4);
  static constexpr size_t kIdleCountMax = 256;

  // A connection idle for no longer than `idle_max`, or null.
  std::unique_ptr<ClientConnection> take(Time now, Duration idle_max);
  void put(std::unique_ptr<ClientConnection> connection, Time now);
  // Closes what has been idle for too long.
  void sweep(Time now);
  void clear() { idle_.clear(); }

 private:
  struct Idle {
    std::unique_ptr<ClientConnection> connection;
    Time since;
  };
  std::vector<Idle> idle_;
};

}  // namespace terrace::http

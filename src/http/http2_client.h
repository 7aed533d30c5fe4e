#pragma once

#include <optional>
#include <string_view>

#include "http/exchange.h"
#include "http/http2_head.h"
#include "http/http2_session.h"

namespace terrace::http {

// The client side of HTTP/2 (RFC 9113) on one core: one connection, many requests at
// a time. Its owner connects stream() and makes the handshake, spawns run(), and opens
// requests while takes_requests():
//
//   Http2ClientRequest request(reactor);
//   request.start(connection, {.head = exchange.request(), .scheme = "http"});
//   co_await request.write(piece, progress_max); …  co_await request.write_last({}, …);
//   co_await request.read_head(deadline);   request.head()
//   co_await request.read_body(idle_max); …
//
// What the server sends is checked as strictly as what clients send. An answer that
// breaks the protocol fails its own request, or with the whole connection all of them.
class Http2ClientConnection final : public Http2Session {
 public:
  Http2ClientConnection(Reactor& reactor, const Http2Limits& limits)
      : Http2Session(reactor, Side::kClient, limits) {}

  // Speaks until the connection is over; says why it ended, nothing after a drain of
  // either side. Every request that is open then has failed or is complete. Once.
  Task<Result<void>> run() { return converse(); }

  // Another request may be started now. False for good once the server said GOAWAY, the
  // connection broke or drain() was called: gone() tells this from being full.
  bool takes_requests() const { return may_open(); }
  bool gone() const { return draining() || stream().cancelled() || !stream().is_open(); }
  int requests() const { return streams(); }
  // Whether a request with Upgrade may be started: known once the server has said so.
  bool takes_tunnels() const { return peer_takes_tunnels(); }

 private:
  Http2Stream* stream_begins() override { return nullptr; }  // nothing is pushed to us
};

// One request and its answer. Belongs to the coroutine that waits for it, and outlives
// neither its reactor nor what was given to write(). Destroying it resets the stream if
// it is not complete; the connection may be gone before.
class Http2ClientRequest final : public Http2Stream, public Cancellable {
 public:
  struct Options {
    // Method, authority, target, framing, and of an upgrade its protocol. Stays until
    // the answer is read.
    const RequestHead& head;
    std::string_view scheme;         // "http" or "https"
    const Fields* fields = nullptr;  // sent instead of the head's own
  };

  explicit Http2ClientRequest(Reactor& reactor) : reactor_(reactor) {}
  ~Http2ClientRequest() override;

  // Sends the head: what is hop-by-hop stays here, Host and Content-Length are written
  // anew. kUnavailable: the connection takes no more, nothing was sent. Once.
  Result<void> start(Http2ClientConnection& connection, const Options& options);
  // Sends bytes of the body as the server's window takes them; kTimeout when it takes
  // none for `progress_max`. `bytes` stay until this is done.
  Task<Result<void>> write(std::string_view bytes, Duration progress_max);
  // The same, with the end of the body behind them; of a tunnel, the end of our direction.
  Task<Result<void>> write_last(std::string_view bytes, Duration progress_max);

  // Waits for the head of the answer. After kTimeout it may be waited for again. kInvalid
  // for what is not HTTP, kLimit where it does not fit; kClosed when the stream was reset
  // or the connection broke; kUnavailable when the server refused (see unprocessed()).
  // 1xx heads are dropped; a tunnel that was accepted has status 101.
  Task<Result<void>> read_head(Time deadline);
  // The same without waiting: true when it is here, false to be called again once readable().
  Result<bool> read_head_now();
  // Waits until something has come, or nothing more will; kTimeout at the deadline.
  Wakeup::Wait readable(Time deadline) { return readable_.wait(reactor_, deadline); }
  const ResponseHead& head() const { return head_; }
  ResponseHead& head() { return head_; }
  // The next piece of the body, empty at its end; of a tunnel, of what the server says.
  // kTimeout when none comes within `idle_max`; it may be waited for again. The view is
  // valid until the next call.
  Task<Result<std::string_view>> read_body(Duration idle_max);
  Task<Result<std::string_view>> read_tunnel(Duration idle_max) { return read_body(idle_max); }
  // The piece that is here already, without waiting; empty when there is none.
  Result<std::string_view> take_body();
  // All of the body was given out.
  bool body_done() const { return remote_ended_ && body_.size() == taken_; }
  // All of it has come, with its end.
  bool body_here() const { return head_done_ && remote_ended_; }
  // Waits until the whole body is here, if it fits the stream's window.
  Task<Result<void>> buffer_body(Time deadline);

  // Something of an answer has come: the server did receive the request.
  bool answered() const { return answered_; }
  // The server has said that it did nothing for it, or never heard of it: it may be sent
  // again, whatever its method (RFC 9113 section 8.7).
  bool unprocessed() const { return (failure_ && failure_->code == Code::kUnavailable) || !head_sent_; }
  // The same of this request alone: the server goes on, but has nobody who would answer it.
  bool refused() const { return peer_reset_ && unprocessed(); }
  // Whoever waits gets kCancelled; the server is told. Nothing to one that has failed.
  void cancel() override;
  bool cancelled() const { return cancelled_; }

 private:
  // A server that sends more 1xx heads than this before its answer is broken.
  static constexpr int kInformationalMax = 16;

  void head_begins() override;
  void head_field(std::string_view name, std::string_view value) override;
  void head_ends(bool end) override;
  void body_comes() override;

  Task<Result<void>> send_part(std::string_view bytes, bool last, Duration progress_max);
  Task<Result<void>> wait_until_sent(Duration progress_max);
  Task<Result<std::string_view>> wait_for_body(Duration idle_max);
  void give_up(const Error& error, Reset reason);
  void accept_tunnel();
  void take_real_status();

  Reactor& reactor_;
  Http2Limits const* limits_ = nullptr;
  Http2HeadReader reader_;
  ResponseHead head_;
  Method method_ = Method::kGet;
  std::string_view protocol_;  // of a tunnel
  int informational_ = 0;
  bool answered_ = false;
  bool cancelled_ = false;
};

}  // namespace terrace::http

#pragma once

#include "http/exchange.h"
#include "http/http2_head.h"
#include "http/http2_session.h"
#include "http/server.h"

namespace terrace::http {

class Http2Connection;

// An exchange over one stream of HTTP/2. Pooled by the server: start() and end()
// bracket one use. A handler sees no difference to HTTP/1, but for these:
//
// - abort() and cancel() end the stream and not the connection;
// - a tunnel is an extended CONNECT (RFC 8441): the handler sees a GET with Upgrade and
//   answers 101 as ever, the client sees 200;
// - client_ended() is true once the client has reset the stream or is gone. Whoever is
//   linked is cancelled with it: nobody waits for the answer any more.
class Http2Exchange final : public Exchange, public Http2Stream {
 public:
  void start(Http2Connection& connection);
  void end();

  // The head could not be accepted: refuse() answers, and the handler is not called.
  bool refused() const { return refused_; }
  Task<void> refuse();
  // After the handler: completes the answer.
  Task<void> conclude();
  // The connection ends or a drain is at its limit.
  void give_up();

  RequestHead& request() override { return head_; }
  const net::Peer& peer() const override;
  Reactor& reactor() override;
  Time started() const override { return started_; }
  Task<Result<std::string_view>> read_body() override;
  void begin(const ResponseHead& head, std::optional<uint64_t> length) override;
  Task<Result<void>> write(std::string_view bytes) override { return write_part(bytes, false); }
  Task<Result<void>> write_last(std::string_view bytes) override { return write_part(bytes, true); }
  Task<Result<void>> flush() override;
  Task<Result<void>> send_file(int file, off_t offset, uint64_t bytes) override;
  Task<Result<void>> finish() override { return write_part({}, true); }
  Task<Result<void>> respond(const ResponseHead& head, std::string_view body) override;
  void abort() override;
  bool give_back() override;
  void cancel() override;
  void stop_reading() override;
  bool client_ended() const override { return !attached(); }
  void link(Cancellable* other) override;
  std::string_view protocol() override { return "HTTP/2.0"; }
  int status() const override { return status_; }
  bool begun() const override { return begun_; }
  uint64_t body_bytes_sent() const override { return sent_bytes_; }
  uint64_t body_bytes_received() const override { return received_; }

 private:
  friend class Http2Connection;
  void head_begins() override;
  void head_field(std::string_view name, std::string_view value) override;
  void head_ends(bool end) override;
  void stream_closed() override;

  const ServerLimits& limits() const;
  bool body_forbidden() const;
  Result<std::string_view> take_body_now();
  Task<Result<std::string_view>> wait_for_body();
  std::unexpected<Error> fail_body(const Error& error);
  Task<Result<void>> write_part(std::string_view bytes, bool last);
  Task<Result<void>> wait_until_sent();
  std::unexpected<Error> client_gone(const Error& error);

  Http2Connection* connection_ = nullptr;
  size_t place_ = 0;  // among the connection's exchanges
  Http2HeadReader reader_;
  RequestHead head_;
  Time started_;
  Cancellable* linked_ = nullptr;
  bool refused_ = false;
  bool cancelled_ = false;
  bool stopped_ = false;  // nobody wants the rest of the request body

  std::optional<Error> body_error_;
  bool continue_pending_ = false;
  Duration body_waited_{};
  uint64_t received_ = 0;

  uint64_t length_remaining_ = 0;
  bool sized_ = false;
  int status_ = 0;
  uint64_t sent_bytes_ = 0;
  bool begun_ = false;
  bool finished_ = false;
  bool broken_ = false;
  bool tunnel_ = false;
  bool no_body_ = false;
};

}  // namespace terrace::http

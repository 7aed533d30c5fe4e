#pragma once

#include <sys/uio.h>

#include <array>

#include "http/chunk.h"
#include "http/connection.h"
#include "http/exchange.h"
#include "http/parser.h"

namespace terrace::http {

// An exchange over HTTP/1.1 or 1.0 (RFC 9112). Pooled by the server: start() and
// end() bracket one use.
class Http1Exchange final : public Exchange {
 public:
  void start(Connection& connection);
  void end();

  // Reads and checks the head. False: it was refused and answered, or the client
  // is gone; the handler is not called.
  Task<bool> read_head();
  // After the handler: completes the answer, takes the rest of the body in. True
  // when the connection can serve another request.
  Task<bool> conclude();
  // The client may still be sending: read a while before closing.
  bool wants_linger() const { return wants_linger_; }

  RequestHead& request() override { return head_; }
  const net::Peer& peer() const override { return connection_->peer(); }
  Reactor& reactor() override { return connection_->server().reactor(); }
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
  void cancel() override;
  void stop_reading() override;
  bool client_ended() const override { return connection_->stream().peer_ended(); }
  void link(Cancellable* other) override { connection_->link(other); }
  int status() const override { return status_; }
  bool begun() const override { return begun_; }
  uint64_t body_bytes_sent() const override { return sent_; }
  uint64_t body_bytes_received() const override { return received_; }

 private:
  const ServerLimits& limits() const { return connection_->server().limits(); }
  net::Stream& stream() { return connection_->stream(); }

  // Reading.
  Task<bool> read_rest_of_head();
  bool needs_room() const;
  Task<bool> refuse(int status, const char* why);
  Task<bool> check_head();
  Result<std::string_view> take_body_now();
  Result<std::string_view> take_chunked_now();
  Result<std::string_view> fail_body(Code code, const char* why);
  Task<Result<std::string_view>> wait_for_body();
  Task<Result<std::string_view>> read_tunnel();
  Result<std::string_view> take_tunnel_now();
  Task<bool> drain_body();
  Task<bool> conclude_unanswered();

  // Writing.
  void write_head(const ResponseHead& head, std::optional<uint64_t> length);
  bool will_keep_alive(std::optional<uint64_t> length) const;
  bool body_forbidden() const;
  Task<Result<void>> write_part(std::string_view bytes, bool last);
  void append(std::string_view bytes);
  Task<Result<void>> send_pending();
  Task<Result<void>> send_pending_slowly();
  Task<Result<void>> send_file_slowly(int file, off_t offset, uint64_t bytes);
  Result<bool> write_parts_now();
  size_t unsent() const;
  Task<Result<void>> half_close();
  std::unexpected<Error> client_gone(const Error& error);

  Connection* connection_ = nullptr;
  RequestParser parser_;
  RequestHead head_;
  Time started_;

  // Of the request body.
  ChunkDecoder chunks_;
  uint64_t body_remaining_ = 0;
  size_t body_offset_ = 0;  // where the body's part of the input buffer begins
  bool body_done_ = true;
  bool body_failed_ = false;
  bool continue_pending_ = false;  // the client waits for 100 Continue
  Duration body_waited_{};
  uint64_t received_ = 0;

  // Of the response.
  Buffer out_;
  std::array<iovec, 4> parts_{};  // what is to be sent: out_, then pieces of the caller's
  int parts_count_ = 0;
  size_t out_used_ = 0;
  std::array<char, 24> chunk_line_{};
  Framing framing_ = Framing::kNone;
  uint64_t length_remaining_ = 0;
  int status_ = 0;
  uint64_t sent_ = 0;
  bool begun_ = false;
  bool finished_ = false;
  bool broken_ = false;  // nothing more can be sent
  bool keep_alive_ = false;
  bool tunnel_ = false;
  bool no_body_ = false;
  bool wants_linger_ = false;
};

}  // namespace terrace::http

#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/tls.h"

struct x509_store_ctx_st;
struct bio_st;

namespace terrace {
class Watch;
}

namespace terrace::net {

// The TLS of one Stream: turns its calls into records on its socket. Belongs to the
// stream, and like it to one core. Nothing waits here: where the socket gives or
// takes no more, the readiness of the watch is taken back and kWouldBlock returned.
//
// A record is encrypted whole, the socket may take a part of it. The rest is kept
// (`unsent_`) and the plain bytes of that record are not reported as written until
// the kernel has all of it: whoever got kWouldBlock writes the same bytes again, as
// it must on a plain socket, so nothing is ever left here with nobody to send it.
class TlsSession {
 public:
  // At most so many bytes of records wait for the socket: one record, and what a
  // handshake says. A peer that asks for more without reading is dropped.
  static constexpr size_t kUnsentBytesMax = 65536;
  static constexpr size_t kRecordBytes = 16384;  // RFC 8446 section 5.1

  static Result<std::unique_ptr<TlsSession>> make(std::shared_ptr<const TlsContext> context, Watch& watch,
                                                  int socket, std::string_view expected_name);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // kWouldBlock: wait until the socket is writable when unsent(), else readable.
  Result<void> handshake_now();
  bool unsent() const { return !unsent_.empty(); }

  Result<size_t> read_now(std::span<char> into);
  Result<size_t> write_now(std::string_view bytes, bool more);
  Result<size_t> write_now(std::span<const iovec> parts);
  Result<size_t> send_file_now(int file, off_t& offset, size_t bytes);
  // close_notify (RFC 8446 section 6.1) and then the end of the TCP stream.
  Result<void> shutdown_write();
  // The same as far as it goes without waiting; for a stream that closes.
  void say_end();

  // DER; empty when the peer showed none.
  const std::string& peer_certificate() const { return peer_certificate_; }
  const std::string& refused_certificate() const { return refused_certificate_; }

 private:
  friend class TlsContext;
  struct Callbacks;
  TlsSession(std::shared_ptr<const TlsContext> context, Watch& watch, int socket);
  Result<void> flush();
  Result<size_t> write_record(std::string_view bytes, bool more);
  Result<size_t> send_now(std::string_view bytes);
  bool protocol_agreed() const;
  void broke(const char* place);
  int verify(x509_store_ctx_st* store);
  std::unexpected<Error> fail_session(const char* place, int returned);

  std::shared_ptr<const TlsContext> context_;
  Watch& watch_;
  int socket_;
  ssl_st* session_ = nullptr;
  std::string_view expected_name_;  // borrowed by the handshake alone
  std::string unsent_;
  size_t unreported_ = 0;  // plain bytes of the record that stands in unsent_
  bool more_ = false;      // other records follow at once
  bool ready_ = false;     // the handshake is done
  bool end_said_ = false;
  bool socket_ended_ = false;
  Error refused_{.code = Code::kInvalid};
  Error failed_{};
  bool broken_ = false;  // nothing more can be read or written: failed_ says why
  std::string peer_certificate_;
  std::string refused_certificate_;
};

}  // namespace terrace::net

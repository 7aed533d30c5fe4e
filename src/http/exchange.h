#pragma once

#include <sys/types.h>

#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"
#include "net/address.h"
#include "reactor/reactor.h"
#include "reactor/task.h"

namespace terrace::http {

// What waits for something and can be told to give up.
class Cancellable {
 public:
  virtual void cancel() = 0;

 protected:
  ~Cancellable() = default;
};

// One request and its response, the same for every HTTP version. A handler reads
// request(), perhaps its body, and answers in one of two ways:
//
//   co_await exchange.respond(head, body);                    // all at once
//
//   exchange.begin(head, length or nullopt);                  // or streaming
//   co_await exchange.write(piece); …  co_await exchange.finish();
//
// All calls belong to the exchange's core. Fields that the protocol owns
// (Connection, Transfer-Encoding, Content-Length, Date, Keep-Alive) are written by
// the exchange; a handler gives only its own. The bodies of answers to HEAD and
// of 204 and 304 are never sent, whatever a handler writes.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // Valid until the handler returns; views point into memory of the exchange.
  virtual RequestHead& request() = 0;
  virtual const net::Peer& peer() const = 0;
  virtual Reactor& reactor() = 0;
  // When the first byte of the request had arrived, at the reactor's resolution.
  virtual Time started() const = 0;

  // The next piece of the request body; an empty view at its end. The view is valid
  // until the next call. Sends "100 Continue" first where the client waits for it.
  // Errors: kInvalid (bad coding), kClosed (cut short), kTimeout (too slow), kLimit
  // (over the limit of body bytes). After an error nothing can be answered but one of
  // refuse_body_error()'s statuses, and the connection closes.
  virtual Task<Result<std::string_view>> read_body() = 0;

  // Starts the response: `length` bytes of body, or an unknown number. The head
  // leaves with the first write. With status 101 the exchange becomes a tunnel:
  // read_body() gives raw bytes until the client's end, write() sends raw bytes,
  // finish() ends our direction.
  virtual void begin(const ResponseHead& head, std::optional<uint64_t> length) = 0;
  // Sends the bytes, waiting while the client is slow. No copy is kept: `bytes` must
  // stay until this is done. An error means the client is gone.
  virtual Task<Result<void>> write(std::string_view bytes) = 0;
  // Sends what begin() has prepared without waiting for more: for streams of events.
  virtual Task<Result<void>> flush() = 0;
  // `bytes` bytes of `file` from `offset` on, by sendfile(2) where it can.
  virtual Task<Result<void>> send_file(int file, off_t offset, uint64_t bytes) = 0;
  // write() and finish() in one: the last bytes and the end leave together.
  virtual Task<Result<void>> write_last(std::string_view bytes) = 0;
  // Ends the body. Fewer bytes written than promised: the connection is aborted.
  virtual Task<Result<void>> finish() = 0;
  // begin, write and finish in one; the fastest way for a body in memory.
  virtual Task<Result<void>> respond(const ResponseHead& head, std::string_view body) = 0;
  // Breaks the connection off so that the client sees an error and not an end.
  virtual void abort() = 0;
  // Nothing was done for this request, and the client can take it somewhere else: tells it so
  // (RFC 9113 section 8.7). False where that cannot be said; then it is still to be answered.
  virtual bool give_back() { return false; }
  // Whoever waits in this exchange gets kCancelled; the connection closes afterwards.
  virtual void cancel() = 0;
  // Nobody wants the rest of the request body: a waiting read_body() fails, and the
  // connection closes after the answer.
  virtual void stop_reading() = 0;
  // The client will send no more. It may still read (a half-close), or be gone.
  virtual bool client_ended() const = 0;
  // While set, who gives the client's connection up (a drain at its limit) cancels
  // `other` too: the connection to a backend, which the same exchange waits for.
  // Null before `other` ends.
  virtual void link(Cancellable* other) = 0;

  // As the access log says it: "HTTP/1.1".
  virtual std::string_view protocol() { return request().http_1_0 ? "HTTP/1.0" : "HTTP/1.1"; }
  // What was answered, for logs and metrics; 0 when nothing was.
  virtual int status() const = 0;
  virtual bool begun() const = 0;
  // Bytes of bodies, as they went over the wire without framing.
  virtual uint64_t body_bytes_sent() const = 0;
  virtual uint64_t body_bytes_received() const = 0;
};

// What answers requests. One per core; handle() runs once per exchange and
// must have answered, or called abort(), when it ends.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual Task<void> handle(Exchange& exchange) = 0;
  // A head that could not be read was answered with `status`: for the counters.
  virtual void refused(int status, const char* why, const net::Peer& peer) = 0;
  // The body of the answer to a head that could not be read, and to a handler that
  // answered nothing. Text of ours or an error page of the site.
  virtual std::string_view error_page(int status) = 0;
};

}  // namespace terrace::http

#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/metrics.h"
#include "http/client.h"
#include "http/exchange.h"
#include "http/http2_client.h"
#include "reactor/scope.h"

namespace terrace::http {

// Carries one exchange over one request to a backend, whose head was sent: the body
// there, the answer back, or a tunnel both ways.
//
// - Bodies stream both ways at once with back-pressure: nothing is read from one
//   side that the other did not take.
// - The answer to a request that may be sent again is held back until it is here
//   whole, where it fits a buffer: a backend that dies before then costs no request.
// - Who gave the exchange up (its client left, a drain is at its limit) gives the
//   request up too, through Exchange::link().
//
// Which backend, whether to try another one, and what a client is told are the
// caller's: nothing is answered here but what the backend said.
struct RelayOptions {
  Duration response_timeout = std::chrono::seconds(60);  // until the head of the answer, after the body
  Duration stream_idle_max = std::chrono::minutes(10);   // between pieces of an answer (server-sent events)
  Duration tunnel_idle_max = std::chrono::hours(1);      // without a byte either way
  Duration progress_max = std::chrono::seconds(30);      // the longest time in which a backend reads nothing
  Gauge* tunnels = nullptr;                              // counts those that are open
};

// How it ended.
enum class RelayEnd : uint8_t {
  kDone,         // answered to the last byte, or the tunnel has ended
  kClientGone,   // the client left or was given up; the exchange was aborted
  kBodyRefused,  // the client's body failed: error() says how, relay_body_status() what it is told
  kBroken,       // the backend failed: error() says how; nothing was answered unless exchange.begun()
};

// What a client is told of a body that failed, where it can still be told: 413, 408 or 400.
int relay_body_status(const Error& error);

// `Request` is ClientConnection (HTTP/1.1) or Http2ClientRequest. One per try, made when the
// request was started: for ClientConnection before its head is written, for
// Http2ClientRequest after start(). Destroyed before the request, and before the connection
// goes back to its pool.
template <class Request>
class Relay {
 public:
  // `options` and `response_fields`, which every answer gets besides its own, outlive it.
  // `head` may be the buffer that the request's head was written to: given back as soon as
  // that cannot be sent again.
  Relay(Reactor& reactor, Exchange& exchange, Request& request, const RelayOptions& options,
        std::span<const Field> response_fields, Buffer* head = nullptr)
      : reactor_(reactor),
        exchange_(exchange),
        request_(request),
        options_(options),
        response_fields_(response_fields),
        head_(head),
        upload_done_(!exchange.request().has_body()) {
    exchange_.link(&request_);
  }
  ~Relay() { exchange_.link(nullptr); }
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // After the head of the request was sent. Once. For a request without a body this is
  // one coroutine.
  Task<RelayEnd> run();
  // How it ended if the head could not even be sent, instead of run().
  RelayEnd failed(const Error& error);

  // Why, unless kDone. With kClientGone kCancelled: it was given up. With kBroken kCancelled:
  // the connection to the backend was, by its owner.
  const Error& error() const { return error_; }
  // Bytes of the request's body are gone, or it is a tunnel: it cannot be sent again.
  bool body_taken() const { return body_taken_; }
  // The whole request has left; without that a connection of HTTP/1.1 is not used again.
  bool upload_done() const { return upload_done_; }
  // It may be sent again, whatever the backend did with it: idempotent, with nothing
  // taken from the client and nothing answered yet.
  bool repeatable() const { return exchange_.request().idempotent() && !body_taken_ && !exchange_.begun(); }
  // When the head of the answer came, at the reactor's resolution, and its status; 0: none.
  Time head_at() const { return head_at_; }
  int status() const { return status_; }

 private:
  Task<RelayEnd> exchange_with_upload();
  Task<RelayEnd> relay_response();
  Task<RelayEnd> relay_body(Result<std::string_view> piece);
  Task<RelayEnd> tunnel();
  Task<void> upload();
  Task<void> pump_up();
  Task<void> pump_down();
  RelayEnd client_gone();
  bool quiet_elsewhere(const Result<std::string_view>& piece);
  void cancel_both();
  void forget_head();

  Reactor& reactor_;
  Exchange& exchange_;
  Request& request_;
  const RelayOptions& options_;
  std::span<const Field> response_fields_;
  Buffer* head_;
  const Scope* upload_ = nullptr;  // runs while the body is on its way beside the answer
  Time tunnel_used_{};             // when a byte last went through, either way
  Time head_at_{};
  int status_ = 0;
  bool body_taken_ = false;
  bool upload_done_;
  std::optional<Error> upload_error_;
  Error error_{};
};

extern template class Relay<ClientConnection>;
extern template class Relay<Http2ClientRequest>;

}  // namespace terrace::http

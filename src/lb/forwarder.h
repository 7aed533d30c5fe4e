#pragma once

#include <memory>
#include <optional>
#include <string>

#include "http/exchange.h"
#include "http/relay.h"
#include "http/upstream_head.h"
#include "lb/pools.h"
#include "lb/upstream.h"

namespace terrace::lb {

// What the site file says about a request's times.
struct ForwardOptions {
  Duration connect_timeout = std::chrono::seconds(2);
  Duration queue_timeout = std::chrono::seconds(10);  // for a place, of all tries
  Duration try_timeout = std::chrono::seconds(65);    // until the head of an answer
  Duration total_timeout = std::chrono::minutes(2);   // the same, of all tries and the line
};

// How it went. With `error_status` nothing was answered yet: the caller sends its page.
struct Forwarded {
  int error_status = 0;
  const char* why = "";
  Upstreams::Use backend;   // the last one tried
  Duration retry_after{0};  // of a 429, where it is known
};

// Our own web server, for the requests that this very server gets as a backend.
class OwnServer {
 public:
  virtual ~OwnServer() = default;
  // Answers as it would without a load balancer.
  // `added`: fields for the answer, besides its own. `elsewhere`: another backend may have
  // it instead. Then false, with nothing answered, where the app has no instance here.
  virtual Task<bool> serve_here(http::Exchange& exchange, const http::UpstreamContext& context,
                                std::span<const http::Field> added, bool elsewhere) = 0;
};

// Written by the core, read by any thread.
struct ForwardMetrics {
  Counter client_limited;  // 429
  Counter unserved;        // no backend in time
  Counter turned_away;     // at once: the line was full
  Counter failed;          // 502 and 504
  Counter retries;         // of what was sent
  Gauge tunnels;
};

// A load balancer's way of a request, on one core: the client's limits, the pool, a backend,
// one more if that failed and it can do no harm (retry.h), and the answer back.
//
// - A backend that cannot be reached got nothing, and a web server of ours whose app has no
//   instance gives the request back: another one is tried, until `queue_timeout`.
// - What was sent is sent once more only if it is idempotent, with all of it still to send,
//   nothing answered, and the budget of retries not used up; or if the backend has said that
//   it did not look at it (RFC 9113 section 8.7).
class Forwarder {
 public:
  Forwarder(Reactor& reactor, Pools& pools, Upstreams& upstreams, OwnServer& own)
      : reactor_(reactor), pools_(pools), upstreams_(upstreams), own_(own) {}

  void set_options(const ForwardOptions& options) { options_ = options; }
  // `client`: who is limited, and told apart by address. `host` without its port.
  Task<Forwarded> handle(http::Exchange& exchange, http::UpstreamContext context, net::Ip client,
                         std::string_view host);
  const ForwardMetrics& metrics() const { return metrics_; }

 private:
  struct Call;
  enum class Next : uint8_t {
    kDone,      // answered, or there is nobody to answer
    kRefused,   // nothing was sent: another backend
    kStale,     // an idle connection had just been closed: the same again
    kFailed,    // sent, and no answer: perhaps another one
    kHopeless,  // the outcome says what to tell the client
  };

  Task<Result<Balancer::Place>> take_place(Call& call);
  Task<Next> attempt(Call& call);
  Task<Next> over_nothing(Call& call);
  Task<Next> over_hop(Call& call, Hop& hop);
  Task<Next> over_http1(Call& call, Upstream& upstream);
  Task<Result<void>> connect(Call& call, http::ClientConnection& connection, const Upstream& upstream);
  std::optional<Next> start(Call& call, http::Http2ClientConnection& connection,
                            http::Http2ClientRequest& stream);
  template <class Request>
  Next end_of(Call& call, http::RelayEnd end, const http::Relay<Request>& relay);
  Next refused(Call& call, const Error& error);
  void stick(Call& call);
  Next give_up(Call& call, int status, const char* why);

  Reactor& reactor_;
  Pools& pools_;
  Upstreams& upstreams_;
  OwnServer& own_;
  ForwardOptions options_;
  ForwardMetrics metrics_;
};

}  // namespace terrace::lb

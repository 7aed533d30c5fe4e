#pragma once

#include <optional>
#include <span>
#include <string>

#include "app/backends.h"
#include "http/relay.h"
#include "http/upstream_head.h"

namespace terrace::app {

// Proxies exchanges to the instances of the app, on one core.
//
// - A connection that cannot be made is tried with another instance; so is an
//   idempotent request without a body whose instance died before it answered.
// - While no instance can take a request it waits in a bounded queue; at the
//   deadline the outcome is 503.
// - With kElsewhere nobody waits for an instance while there is none at all (one that is only
//   busy is worth waiting for): somebody else has one. Not so with a body, which is read once.
// - How bodies, answers and tunnels go through: http/relay.h.
struct ProxyOptions {
  Duration queue_timeout = std::chrono::seconds(10);
  Duration connect_timeout = std::chrono::seconds(2);
  Duration response_timeout = std::chrono::seconds(60);  // until the head of the response
  Duration stream_idle_max = std::chrono::minutes(10);   // between pieces of a response (server-sent events)
  Duration tunnel_idle_max = std::chrono::hours(1);
  Duration progress_max = std::chrono::seconds(30);  // the longest time in which an instance reads nothing
};

// How it went. With `error_status` nothing was answered yet: the caller sends its page.
struct Outcome {
  int error_status = 0;
  const char* why = "";
  std::string instance;     // the name of the last one tried
  uint32_t release = 0;     // that it was started from
  bool given_back = false;  // nothing was done for it: kElsewhere
};

class Proxy {
 public:
  // What a request does while there is no instance.
  enum class Without : uint8_t { kWait, kElsewhere };

  Proxy(Reactor& reactor, Backends& backends, const ProxyOptions& options)
      : reactor_(reactor), backends_(backends) {
    set_options(options);
  }

  void set_options(const ProxyOptions& options);
  // Fields added to every response of the app; they outlive the exchange.
  Task<Outcome> handle(http::Exchange& exchange, http::UpstreamContext context,
                       std::span<const http::Field> response_fields, Without without = Without::kWait);

 private:
  struct Call;
  enum class Next : uint8_t { kDone, kAgain, kPause, kBusy, kFailed };

  Task<Next> attempt(Call& call);
  Task<Result<void>> connect(Call& call);
  Next ended(Call& call, const http::Relay<http::ClientConnection>& relay, http::RelayEnd end);
  Next broken(Call& call, const http::Relay<http::ClientConnection>& relay);
  Next give_up(Call& call, int status, const char* why);
  void finish_connection(Call& call, bool upload_done);

  Reactor& reactor_;
  Backends& backends_;
  ProxyOptions options_;
  http::RelayOptions relay_options_;
};

}  // namespace terrace::app

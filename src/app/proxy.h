#pragma once

#include <optional>
#include <span>
#include <string>

#include "app/backends.h"
#include "http/exchange.h"
#include "http/upstream_head.h"
#include "http/writer.h"

namespace terrace::app {

// Proxies exchanges to the instances of the app, on one core.
//
// - A connection that cannot be made is tried with another instance; so is an
//   idempotent request without a body whose instance died before it answered.
// - While no instance can take a request it waits in a bounded queue; at the
//   deadline the outcome is 503.
// - Bodies stream both ways at once with back-pressure: nothing is read from one
//   side that the other did not take.
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
  std::string instance;  // the name of the last one tried
  uint32_t release = 0;  // that it was started from
};

class Proxy {
 public:
  Proxy(Reactor& reactor, Backends& backends, const ProxyOptions& options)
      : reactor_(reactor), backends_(backends), options_(options) {}

  void set_options(const ProxyOptions& options) { options_ = options; }
  // Fields added to every response of the app; they outlive the exchange.
  Task<Outcome> handle(http::Exchange& exchange, http::UpstreamContext context,
                       std::span<const http::Field> response_fields);

 private:
  struct Call;
  enum class Next : uint8_t { kDone, kAgain, kPause, kBusy, kFailed };

  Task<Next> attempt(Call& call);
  Task<Result<void>> connect(Call& call);
  Task<void> upload(Call& call);
  Task<Next> exchange_with_upload(Call& call);
  Task<Next> relay_response(Call& call);
  Task<Next> relay_body(Call& call);
  Task<Next> tunnel(Call& call);
  Task<void> pump_up(Call& call);
  Task<void> pump_down(Call& call);
  Next broken(Call& call, const Error& error);
  Next give_up(Call& call, int status, const char* why);
  Next client_gone(Call& call);
  bool quiet_elsewhere(Call& call, const Result<std::string_view>& piece);
  void finish_connection(Call& call);

  Reactor& reactor_;
  Backends& backends_;
  ProxyOptions options_;
};

}  // namespace terrace::app

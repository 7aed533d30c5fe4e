#pragma once

#include <coroutine>
#include <memory>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "http/date.h"
#include "http/handshakes.h"
#include "http/http2_exchange.h"
#include "http/server.h"
#include "net/listener.h"
#include "reactor/scope.h"

namespace terrace::net {
class TlsContext;
}

namespace terrace::http {

// The server side of HTTP/2 (RFC 9113, prior knowledge) on one core: connections in,
// one exchange per stream to the Handler that serves HTTP/1 too. Of ServerLimits the
// times and sizes of bodies, and connections_max, hold for each stream as they do for
// an exchange of HTTP/1; of the connection, Http2Limits. Handshakes of TLS that have not
// ended have limits of their own (handshakes.h): strangers cannot use up connections_max.
//
// An exchange runs from its head to the end of its handler. Twice as many run as streams
// may be open, those included whose stream was reset: resetting makes no room for more.

class Http2Server;

// Who may speak, beyond what the handshake has proved. Asked on the core.
class Http2Admission {
 public:
  // Why a peer with this certificate (DER; empty: none) is refused, in a literal for the
  // log; null: it is let in. Must not wait.
  virtual const char* refusal_of(std::string_view certificate_der) = 0;
  // Handshakes from there are not ended for those of others.
  virtual bool expects(const net::Ip& from) const = 0;

 protected:
  ~Http2Admission() = default;
};

class Http2Connection final : public Http2Session, Handshake {
 public:
  Http2Connection(Http2Server& server, const net::Peer& peer);
  ~Http2Connection() override;

  // Until the connection is over and all handlers are back.
  Task<void> serve();
  Http2Server& server() { return server_; }
  const net::Peer& peer() const { return peer_; }
  // Every exchange is given up, and the connection with them.
  void give_up();

 private:
  friend class Http2Server;
  friend class Http2Exchange;
  Http2Stream* stream_begins() override;
  void input_read() override;
  void crowd_out() override { cancel(); }
  Task<Result<void>> encrypt();
  Result<void> admit();
  Task<void> run(Http2Exchange& exchange);
  void give_back(Http2Exchange& exchange);

  Http2Server& server_;
  net::Peer peer_;
  std::vector<Http2Exchange*> exchanges_;  // that are not back in the pool
  std::vector<Http2Exchange*> ready_;      // whose head is there, to be handled after this input
  std::vector<Http2Exchange*> dropped_;    // whose stream ended before its head did
  Scope handlers_;
  Http2Connection* previous_ = nullptr;
  Http2Connection* next_ = nullptr;
};

class Http2Server final : public net::Acceptor {
 public:
  struct Metrics {
    Counter connections;
    Gauge connections_open;
    Counter connections_refused;
    Counter handshakes_crowded_out;  // among the refused: too many had not ended
    Counter broken;                  // connections that ended for what the peer did
    Counter exchanges;
  };
  struct Limits {
    ServerLimits exchange;
    Http2Limits connection;
    // From when a connection is taken until who comes is known; not part of connections_max.
    Duration handshake_timeout = std::chrono::seconds(3);
    Handshakes::Limits handshakes;
  };

  Http2Server(Reactor& reactor, Handler& handler, const Limits& limits, const Log& log);
  ~Http2Server() override;

  // From now on connections begin with a handshake; the context's verifier decides who
  // is let in, and its protocol has to be "h2". Null: HTTP/2 in the clear.
  void set_tls(std::shared_ptr<const net::TlsContext> context) { tls_ = std::move(context); }
  // Asked after each handshake, before the first byte of HTTP/2; outlives the connections.
  // Null: who the verifier has let in may speak.
  void set_admission(Http2Admission* admission) { admission_ = admission; }
  // It may decide otherwise from now on: connections end at once whose peer it refuses.
  void admit_again();
  // For connections from now on.
  void set_limits(const Limits& limits);
  void accepted(Descriptor socket, const net::Peer& peer) override;
  // While set, each connection ends with its last stream and is told so at once (GOAWAY),
  // new ones included: who asks again shall find another server.
  void set_closing(bool closing);
  // The same for good, and no connection is taken any more; what still runs at the limit is
  // given up. Once more: the limit is another one, and each waits for the end.
  Task<void> drain(Duration limit);
  // A drain under way ends at this limit.
  void hasten(Duration limit);
  int connections() const { return connections_; }
  const Metrics& metrics() const { return metrics_; }

  // For connections and exchanges.
  Reactor& reactor() { return reactor_; }
  Handler& handler() { return handler_; }
  const Limits& limits() const { return limits_; }
  std::string_view date() { return date_.text(reactor_.now(), reactor_.clock()); }
  Http2Exchange* take_exchange(Http2Connection& connection);
  void give_back(Http2Exchange* exchange);
  uint64_t exchanges_made() const { return exchanges_made_; }

 private:
  friend class Http2Connection;
  struct DrainLimit final : Timer {
    explicit DrainLimit(Http2Server& owner) : server(owner) {}
    void expired() override { server.give_up_all(); }
    Http2Server& server;
  };
  // Waits until no connection is served. Any number may wait, which Scope::join() does not let.
  struct Ended {
    Http2Server& server;
    bool await_ready() const noexcept { return server.scope_.running() == 0; }
    void await_suspend(std::coroutine_handle<> waiting) { server.waiting_.push_back(waiting); }
    void await_resume() const noexcept {}
  };
  Task<void> serve(std::unique_ptr<Http2Connection> connection);
  void drain_connections();
  void give_up_all();
  void say_refused(const net::Peer& peer, const Error& why);
  void note_crowded_out(const net::Peer& peer);

  Reactor& reactor_;
  Handler& handler_;
  Limits limits_;
  const Log& log_;
  std::shared_ptr<const net::TlsContext> tls_;
  Http2Admission* admission_ = nullptr;
  DateCache date_;
  Metrics metrics_;
  Http2Connection* first_ = nullptr;
  int connections_ = 0;
  int spoken_with_ = 0;  // of them, whose handshake has ended
  bool closing_ = false;
  bool draining_ = false;
  std::vector<std::coroutine_handle<>> waiting_;  // for the end of a drain
  Handshakes handshakes_;
  uint64_t crowded_out_said_ = 0;
  Time crowded_out_said_at_;
  Time refusals_since_;
  int refusals_ = 0;  // since then
  DrainLimit drain_limit_{*this};
  std::vector<std::unique_ptr<Http2Exchange>> exchanges_;  // free ones
  uint64_t exchanges_made_ = 0;
  Scope scope_;
};

}  // namespace terrace::http

#pragma once

// The control channel: how one server of a site asks another one, on [cluster] port of
// the other's address. TLS 1.3 with certificates of the site's authority on both sides
// (net/tls.h, certificates/verifier.h), frames inside (frames.h), a hello of each side
// (hello.h), then one request for a connection:
//
//   asking                              answering
//   hello                        ->
//                                <-     hello
//   {"request": "status", …}     ->
//                                <-     {"progress": "build", "line": "…"}   any number
//   data, end                    <->    data, end                            where it says so
//                                <-     {"ok": true, …} or {"ok": false, "error": "…"}
//
// There is nothing before the handshake: what is not TLS, or shows a certificate that does
// not hold, gets no byte of ours but an alert. Who shows none may only ask what is for
// strangers (permissions.h).
//
// Every await has a deadline. One coroutine at a time on a channel; the reactor's thread.

#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "cluster/frames.h"
#include "cluster/hello.h"
#include "cluster/permissions.h"
#include "net/listener.h"
#include "net/stream.h"
#include "net/tls.h"
#include "reactor/scope.h"

namespace terrace::cluster {

// The protocol inside TLS (RFC 7301).
inline constexpr const char* kChannelProtocol = "terrace/1";
// From the connection to the request.
constexpr std::chrono::seconds kGreetingTimeout{10};
// A peer that takes or sends nothing for so long has left.
constexpr std::chrono::seconds kProgressTimeout{20};
constexpr size_t kConnectionsMax = 256;
// Of these, from one address: who floods us holds up nobody else. From many addresses: when
// all are taken, the oldest that has not shown who it is gives way to the one that comes.
constexpr size_t kConnectionsOfOneMax = 64;
// Log lines about refused peers, per second; more are counted.
constexpr int kRefusalLinesMax = 10;

// Messages and data on an encrypted stream, which is the caller's.
class Channel {
 public:
  explicit Channel(net::Stream& stream) : stream_(stream) {}

  Task<Result<void>> send_message(std::string json);
  // Any number of bytes, cut into frames.
  Task<Result<void>> send_data(std::string bytes);
  Task<Result<void>> send_end();

  // The next frame. kTimeout at the deadline; kClosed when the peer left.
  Task<Result<Frame>> receive(Time deadline);
  // The next message; kInvalid when data comes instead.
  Task<Result<std::string>> receive_message(Time deadline);
  // All data up to its end; kLimit beyond `bytes_max`.
  Task<Result<std::string>> receive_data(size_t bytes_max, Time deadline);

  net::Stream& stream() { return stream_; }
  Reactor& reactor() const { return stream_.reactor(); }
  FrameReader& frames() { return frames_; }

 private:
  Task<Result<void>> send(FrameKind kind, std::string body);

  net::Stream& stream_;
  FrameReader frames_;
  int ready_ = 0;  // frames since we last waited
};

// A certificate, the authorities that are trusted, who we are: what new connections are
// made with. `listening` is empty while we have no certificate.
struct Credentials {
  std::shared_ptr<const net::TlsContext> listening;
  std::shared_ptr<const net::TlsContext> asking;
  std::string server;
  std::string program;  // our version, for people
};

Hello hello_of(const Credentials& credentials, const Clock& clock);

// One request to another server.
class Call {
 public:
  explicit Call(Reactor& reactor) : reactor_(reactor), channel_(stream_) {}

  // Connects and greets. `server`: who shall be there; any other one is refused.
  Task<Result<void>> open(Credentials credentials, std::string server, net::Address address, Time deadline);
  Channel& channel() { return channel_; }
  const Hello& theirs() const { return theirs_; }
  // Their clock less ours, when they answered.
  std::chrono::milliseconds clock_difference() const { return clock_difference_; }
  // Whoever waits on it gets kCancelled.
  void cancel() { stream_.cancel(); }

 private:
  Reactor& reactor_;
  net::Stream stream_;
  Channel channel_;
  Hello theirs_;
  std::chrono::milliseconds clock_difference_{0};
};

// What answers the other servers.
class Answerer {
 public:
  virtual ~Answerer() = default;
  // `name` is the request's, `message` the whole of it. Ends when it is answered.
  virtual Task<void> answer(Channel& channel, Asker asker, std::string name, std::string message) = 0;
  // What the clock of a server said.
  virtual void met(const Hello& theirs, std::chrono::milliseconds clock_difference) = 0;
};

// The listening side.
class ChannelServer final : net::Acceptor {
 public:
  ChannelServer(Reactor& reactor, const Log& log, Answerer& answerer);

  // Holds for connections from now on.
  void use(Credentials credentials) { credentials_ = std::move(credentials); }
  // Listens there, and nowhere else any more; after an error still where it did before. What
  // is connected stays.
  Task<Result<void>> listen(net::Address address);
  // Ends the connections of peers for whom this holds; whoever waits on them gets kCancelled.
  template <class Predicate>
  size_t close_if(Predicate predicate);
  size_t connections() const { return connections_.size(); }
  // A line in the log; of a flood of them only some.
  void say_refused(const Asker& asker, std::string_view why,
                   std::string_view what = "refused at the control port");

 private:
  struct Connection {
    net::Stream stream;
    Asker asker;
    bool gave_way = false;
  };

  void accepted(Descriptor socket, const net::Peer& peer) override;
  bool make_room(const net::Ip& from);
  Task<void> serve(std::list<Connection>::iterator connection);
  Task<Result<void>> greet(Connection& connection, Channel& channel);
  Task<void> answer(Connection& connection, Channel& channel);
  static void end(net::Stream& stream);

  Reactor& reactor_;
  const Log& log_;
  Answerer& answerer_;
  Credentials credentials_;
  std::unique_ptr<net::Listener> listener_;
  std::list<Connection> connections_;
  Scope scope_;
  Time refusals_since_;
  int refusals_ = 0;
};

template <class Predicate>
size_t ChannelServer::close_if(Predicate predicate) {
  size_t closed = 0;
  for (Connection& each : connections_) {
    if (!each.asker.identity || !predicate(*each.asker.identity)) continue;
    end(each.stream);
    ++closed;
  }
  return closed;
}

}  // namespace terrace::cluster

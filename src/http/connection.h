#pragma once

#include "http/exchange.h"
#include "http/server.h"
#include "net/stream.h"

namespace terrace::http {

// One client connection: its stream and the bytes that have come and are not yet
// used. Knows nothing of HTTP beyond "one exchange after the other".
class Connection {
 public:
  Connection(Server& server, const net::Peer& peer);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Result<void> open(Descriptor socket) { return stream_.open(server_.reactor(), std::move(socket)); }
  // Serves until the connection is to be closed.
  Task<void> serve();

  Server& server() { return server_; }
  net::Stream& stream() { return stream_; }
  const net::Peer& peer() const { return peer_; }
  bool idle() const { return idle_; }
  // Whoever waits for this connection, or for the stream linked to it, gives up.
  void cancel();
  // While set, the client is looked for every kLookForClient: one that has reset its connection
  // cancels both, though nobody reads from it. One that only ended its side may still read.
  void link(Cancellable* other);
  static constexpr Duration kLookForClient = std::chrono::milliseconds(500);

  // The input buffer. Bytes [begin, end) are there and unused. A head that is being
  // read begins at head_begin and must not move.
  std::string_view unread() const { return {in_.data() + begin_, static_cast<size_t>(end_ - begin_)}; }
  void consume(size_t bytes) { begin_ += static_cast<uint32_t>(bytes); }
  // Moves what is unread to the front of the buffer.
  void compact();
  // Makes all room behind `keep` (an offset) free when nothing is unread.
  void rewind(size_t keep);
  size_t offset() const { return begin_; }
  // Reads more behind what is there; kLimit when the buffer is full or there is none.
  Result<size_t> fill_now();

 private:
  friend class Server;
  // Armed at most once per kLookForClient, however many requests there are.
  struct Look final : Timer {
    explicit Look(Connection& whose) : connection(whose) {}
    void expired() override { connection.look_for_client(); }
    Connection& connection;
  };
  Task<bool> wait_for_request();
  void look_for_client();
  Task<void> linger();

  Server& server_;
  net::Stream stream_;
  net::Peer peer_;
  Buffer in_;
  uint32_t begin_ = 0;
  uint32_t end_ = 0;
  bool idle_ = false;
  bool first_request_ = true;
  Cancellable* linked_ = nullptr;
  Look look_{*this};
  Connection* previous_ = nullptr;
  Connection* next_ = nullptr;
};

}  // namespace terrace::http

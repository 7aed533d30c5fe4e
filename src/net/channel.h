#pragma once

#include <array>
#include <span>

#include "base/descriptor.h"
#include "base/result.h"
#include "reactor/reactor.h"
#include "reactor/task.h"

namespace terrace::net {

// Fixed-size records between our own processes: a SOCK_SEQPACKET socket, one
// record per packet, each with up to kDescriptorsMax descriptors (SCM_RIGHTS).
class Channel {
 public:
  static constexpr int kDescriptorsMax = 16;

  struct Received {
    size_t bytes = 0;  // 0: the other end closed
    int descriptors_count = 0;
    std::array<Descriptor, kDescriptorsMax> descriptors;
  };

  explicit Channel(Descriptor socket) : socket_(std::move(socket)) {}
  static Result<std::pair<Descriptor, Descriptor>> make_pair();

  // Sends one record; blocks only as long as a full socket buffer does.
  Result<void> send(std::span<const char> record, std::span<const int> descriptors = {});
  // kWouldBlock when the socket is non-blocking and nothing has come; kLimit when
  // a record is larger than `into`.
  Result<Received> receive_now(std::span<char> into);
  // Watches the socket, so that receive() can wait.
  Result<void> start(Reactor& reactor);
  // Waits for one record. No deadline: a peer of ours ends when we end.
  Task<Result<Received>> receive(std::span<char> into);
  // Makes a waiting receive() return kCancelled.
  void cancel();
  int descriptor() const { return socket_.get(); }

 private:
  struct Readable;
  Descriptor socket_;
  Watch watch_;
  bool cancelled_ = false;
};

}  // namespace terrace::net

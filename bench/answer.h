#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bench/poller.h"

namespace terrace::bench {

// What is sent back: bytes from memory, then, when `file` is open, the first
// `file_bytes` of it by sendfile.
struct Answer {
  std::string bytes;
  Descriptor file;
  size_t file_bytes = 0;
};

// Receives, and sends one of a few prepared answers: as little as a server can
// do. `choose` is given all that one connection has sent since its last answer,
// and returns the answer, or null to wait for more. One thread; connections have
// no deadline and no limit but the process's descriptors.
class AnswerServer {
 public:
  using Choose = std::function<const Answer*(std::string_view received)>;

  AnswerServer(Descriptor listener, Choose choose);
  [[noreturn]] void run();

 private:
  struct Connection {
    Descriptor fd;
    std::string received;  // of a request that is not whole yet
    const Answer* sending = nullptr;
    size_t sent = 0;
  };

  void accept_all();
  void close(Connection& connection);
  // Until the connection has nothing to read or does not take more.
  void serve(Connection& connection, bool is_ending);
  void choose(Connection& connection, std::string_view bytes);
  // True when the answer is out; false when the kernel's buffer is full, or the
  // connection broke, which the next read will tell.
  bool send_on(Connection& connection);

  Descriptor listener_;
  Choose choose_;
  Poller poller_;
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
  std::vector<char> scratch_;
};

}  // namespace terrace::bench

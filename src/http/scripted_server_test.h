#pragma once

#include <fcntl.h>

#include <atomic>
#include <deque>
#include <mutex>

#include "http/live_test.h"

// For tests: backends that answer one request after the other, over as many connections as
// the other side makes, with what was written down before.

namespace terrace::http {

// A server of HTTP/1.1 whose every answer is scripted: it accepts, reads a request head (and
// what the script says of the body) and sends the next answer.
class ScriptedServer {
 public:
  struct Answer {
    std::string bytes;
    bool close = false;
    std::string read_also;  // read until this has come too, before answering
  };
  explicit ScriptedServer(std::deque<Answer> answers) : answers_(std::move(answers)) {
    port = free_.port;
    thread_ = std::thread([this] { run(); });
  }
  ~ScriptedServer() {
    ::shutdown(free_.socket.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string heard() {
    const std::lock_guard lock(mutex_);
    return heard_;
  }
  // How many there were so far.
  int connections() const { return connections_; }
  uint16_t port = 0;

 private:
  void run() {
    const int flags = ::fcntl(free_.socket.get(), F_GETFL);
    ::fcntl(free_.socket.get(), F_SETFL, flags & ~O_NONBLOCK);
    while (!answers_.empty()) {
      const Descriptor client(::accept(free_.socket.get(), nullptr, nullptr));
      if (!client) return;
      ++connections_;
      while (!answers_.empty() && answer(client.get())) {
      }
    }
  }
  bool answer(int client) {
    std::string got;
    const Answer& next = answers_.front();
    while (got.find("\r\n\r\n") == std::string::npos || got.find(next.read_also) == std::string::npos) {
      char bytes[4096];
      const ssize_t n = ::recv(client, bytes, sizeof bytes, 0);
      if (n <= 0) return false;
      got.append(bytes, static_cast<size_t>(n));
    }
    {
      const std::lock_guard lock(mutex_);
      heard_ += got;
    }
    const Answer script = next;
    answers_.pop_front();
    ::send(client, script.bytes.data(), script.bytes.size(), MSG_NOSIGNAL);
    return !script.close;
  }
  FreePort free_;
  std::deque<Answer> answers_;
  std::atomic<int> connections_{0};
  std::mutex mutex_;
  std::string heard_;
  std::thread thread_;
};

}  // namespace terrace::http

#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "http/server.h"
#include "net/listener.h"
#include "reactor/mailbox.h"

// For tests: a server on a thread of its own, and a client that sends raw bytes.

namespace terrace::http {

// A listening socket on a free loopback port.
struct FreePort {
  FreePort() : socket(net::listen_on(net::Address::loopback(0)).value()) {
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &length);
    port = net::Address::from(bound, length).port();
  }
  Descriptor socket;
  uint16_t port = 0;
};

// Runs a reactor with one server on a thread, until destroyed.
class LiveServer {
 public:
  // The handler is made by `make(reactor)` so that it may use the reactor.
  template <class Make>
  LiveServer(const ServerLimits& limits, Make make) : reactor_(Reactor::create(clock_, {}).value()) {
    handler_ = make(*reactor_);
    server_ = std::make_unique<Server>(*reactor_, *handler_, limits, log_);
    FreePort free;
    port = free.port;
    listener_ = std::make_unique<net::Listener>(*reactor_, std::move(free.socket), *server_, log_);
    EXPECT_TRUE(listener_->start());
    thread_ = std::thread([this] { reactor_->run(); });
  }
  ~LiveServer() {
    submit(*reactor_, [this] { scope_.spawn(stop()); });
    thread_.join();
  }
  Server& server() { return *server_; }
  Reactor& reactor() { return *reactor_; }
  uint16_t port = 0;

 private:
  Task<void> stop() {
    co_await listener_->close();
    co_await server_->drain(Duration::zero(), std::chrono::milliseconds(50));
    reactor_->stop();
  }
  SystemClock clock_;
  Log log_{"test", LogLevel::kError};
  std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<Handler> handler_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<net::Listener> listener_;
  Scope scope_;
  std::thread thread_;
};

// A blocking client with a deadline of two seconds for each read.
class RawClient {
 public:
  explicit RawClient(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const net::Address address = net::Address::loopback(port);
    EXPECT_EQ(::connect(socket_.get(), address.get(), address.length()), 0);
  }
  void send(std::string_view bytes) {
    EXPECT_EQ(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void end() { ::shutdown(socket_.get(), SHUT_WR); }
  // Reads until `until` has come, or the end, or the deadline.
  std::string read_until(std::string_view until) {
    std::string got;
    while (got.find(until) == std::string::npos && read_some(got)) {
    }
    return got;
  }
  // Everything up to the end of the connection.
  std::string read_all() {
    std::string got;
    while (read_some(got)) {
    }
    return got;
  }
  bool at_end() {
    std::string got;
    return !read_some(got) && !timed_out_;
  }
  int descriptor() const { return socket_.get(); }
  // Appends what comes next. False at the end, or at the deadline.
  bool read_more(std::string& into) { return read_some(into); }
  bool timed_out() const { return timed_out_; }

 private:
  bool read_some(std::string& into) {
    pollfd wait{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    timed_out_ = ::poll(&wait, 1, 2000) == 0;
    if (timed_out_) return false;
    char bytes[16384];
    const ssize_t n = ::recv(socket_.get(), bytes, sizeof bytes, 0);
    if (n <= 0) return false;
    into.append(bytes, static_cast<size_t>(n));
    return true;
  }
  Descriptor socket_;
  bool timed_out_ = false;
};

}  // namespace terrace::http

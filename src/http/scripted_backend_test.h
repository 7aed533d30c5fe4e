#pragma once

#include <algorithm>
#include <cctype>
#include <charconv>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "http/http2_frames_test.h"
#include "http/live_test.h"
#include "http/writer.h"

// For tests: backends whose every step is scripted, the same script for HTTP/1.1 and
// HTTP/2. A script runs once, with the one connection that is made; it ends with it.

namespace terrace::http {

// One accepted connection, read with a deadline of two seconds.
class ScriptedConnection {
 public:
  explicit ScriptedConnection(int socket) : socket_(socket) {}

  void die() { socket_ = {}; }
  // With a reset of TCP instead of an end.
  void die_hard() {
    const linger reset{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    die();
  }
  void raw(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }

 protected:
  bool read_some(int timeout_ms = 2000) {
    pollfd wait{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (!socket_ || ::poll(&wait, 1, timeout_ms) == 0) return false;
    char bytes[16384];
    const ssize_t n = ::recv(socket_.get(), bytes, sizeof bytes, 0);
    if (n <= 0) gone_ = true;
    if (n > 0) in_.append(bytes, static_cast<size_t>(n));
    return n > 0;
  }
  Descriptor socket_;
  std::string in_;
  bool gone_ = false;
};

class ScriptedHttp1 : public ScriptedConnection {
 public:
  using ScriptedConnection::ScriptedConnection;

  // Waits for the head of the request, for bytes within its body, for its end.
  bool take_head() { return take_until("\r\n\r\n"); }
  bool take(std::string_view text) { return take_until(text); }
  bool take_end() {
    if (!take_head()) return false;
    if (in_.find("Transfer-Encoding: chunked") != std::string::npos) return take_until("0\r\n\r\n");
    const size_t name = in_.find("Content-Length: ");
    size_t length = 0;
    if (name != std::string::npos) std::from_chars(&in_[name + 16], in_.data() + in_.size(), length);
    return take_bytes(in_.find("\r\n\r\n") + 4 + length);
  }
  // Everything that came.
  const std::string& heard() const { return in_; }

  void informational(int status) { raw("HTTP/1.1 " + std::to_string(status) + " Soon\r\n\r\n"); }
  void head(int status, std::optional<size_t> length, const Pairs& more = {}) {
    std::string text = "HTTP/1.1 " + std::to_string(status) + " Scripted\r\n";
    for (const auto& [name, value] : more) text += name + ": " + value + "\r\n";
    chunked_ = !length && status != 204 && status != 304;
    if (length) text += "Content-Length: " + std::to_string(*length) + "\r\n";
    if (chunked_) text += "Transfer-Encoding: chunked\r\n";
    raw(text + "\r\n");
  }
  void half_head() { raw("HTTP/1.1 200 OK\r\nContent-Le"); }
  // A head without a body.
  void head_alone(int status, const Pairs& more = {}) {
    std::string text = "HTTP/1.1 " + std::to_string(status) + " Scripted\r\n";
    for (const auto& [name, value] : more) text += name + ": " + value + "\r\n";
    raw(text + "\r\n");
  }
  void data(std::string_view bytes) {
    char line[24];
    if (chunked_) raw({line, write_chunk_line(bytes.size(), line)});
    raw(bytes);
    if (chunked_) raw("\r\n");
  }
  void end() {
    if (chunked_) raw("0\r\n\r\n");
  }
  void nonsense() { raw("nonsense\r\n\r\n"); }

  void open_tunnel() {
    raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  }
  void tunnel_data(std::string_view bytes) { raw(bytes); }
  void end_tunnel() { ::shutdown(socket_.get(), SHUT_WR); }
  bool take_tunnel_end() { return is_given_up(); }
  // Waits until the request is given up, or the connection's other end is gone.
  bool is_given_up() {
    while (read_some()) {
    }
    return gone_;
  }
  // Sends pieces of an answer for as long as it takes until then.
  bool talks_until_given_up() {
    for (int i = 0; i < 200 && !gone_; ++i) {
      data("x");
      read_some(10);
    }
    return gone_;
  }

 private:
  bool take_until(std::string_view text) {
    while (in_.find(text) == std::string::npos) {
      if (!read_some()) return false;
    }
    return true;
  }
  bool take_bytes(size_t bytes) {
    while (in_.size() < bytes) {
      if (!read_some()) return false;
    }
    return true;
  }
  bool chunked_ = false;
};

class ScriptedHttp2 : public ScriptedConnection {
 public:
  explicit ScriptedHttp2(int socket) : ScriptedConnection(socket) {
    constexpr uint16_t kEnableConnectProtocol = 8;  // RFC 8441 section 3
    raw(frame(kSettings, 0, 0, setting(kEnableConnectProtocol, 1)));
  }

  bool take_head() {
    return read_until([this] { return head_; });
  }
  bool take(std::string_view text) {
    return read_until([&] { return body_.find(text) != std::string::npos; });
  }
  bool take_end() {
    return read_until([this] { return end_; });
  }
  const std::string& heard() const { return body_; }

  void informational(int status) { say_head(status, {}, 0); }
  void head(int status, std::optional<size_t> length, const Pairs& more = {}) {
    Pairs pairs = more;
    if (length) pairs.emplace_back("content-length", std::to_string(*length));
    say_head(status, pairs, 0);
  }
  void head_alone(int status, const Pairs& more = {}) { say_head(status, more, kEndStream); }
  void half_head() { raw(frame(kHeaders, 0, 1, block({{":status", "200"}}))); }
  void data(std::string_view bytes) {
    for (; !bytes.empty(); bytes.remove_prefix(std::min<size_t>(bytes.size(), 16384))) {
      raw(frame(kData, 0, 1, bytes.substr(0, 16384)));
    }
  }
  void end() { raw(frame(kData, kEndStream, 1, "")); }
  void nonsense() { raw(frame(kData, 0, 1, "before the head")); }
  void reset(uint32_t code) { raw(frame(kRstStream, 0, 1, number(code, 4))); }
  void say_goodbye(uint32_t last_stream) { raw(frame(kGoaway, 0, 0, number(last_stream, 4) + number(0, 4))); }
  // No more credit for the body of the request.
  void stop_taking() { taking_ = false; }

  void open_tunnel() { say_head(200, {}, 0); }
  void tunnel_data(std::string_view bytes) { data(bytes); }
  void end_tunnel() { end(); }
  bool take_tunnel_end() { return take_end(); }
  bool is_given_up() {
    return read_until([this] { return reset_ || gone_; });
  }
  bool talks_until_given_up() {
    for (int i = 0; i < 200 && !reset_ && !gone_; ++i) {
      data("x");
      read_some(10);
      while (take_frame()) {
      }
    }
    return reset_ || gone_;
  }

 private:
  void say_head(int status, const Pairs& more, uint8_t flags) {
    Pairs pairs = {{":status", std::to_string(status)}};
    for (auto [name, value] : more) {
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      pairs.emplace_back(name, value);
    }
    raw(headers(1, pairs, flags));
  }
  bool read_until(const std::function<bool()>& done) {
    for (;;) {
      while (take_frame()) {
      }
      if (done()) return true;
      if (gone_ || !read_some()) return done();
    }
  }
  bool take_frame() {
    if (!greeted_) {
      if (in_.size() < kPreface.size()) return false;
      in_.erase(0, kPreface.size());
      greeted_ = true;
    }
    if (in_.size() < 9) return false;
    const size_t size = size_t{uint8_t(in_[0])} << 16 | size_t{uint8_t(in_[1])} << 8 | uint8_t(in_[2]);
    if (in_.size() < 9 + size) return false;
    const auto type = static_cast<uint8_t>(in_[3]);
    const auto flags = static_cast<uint8_t>(in_[4]);
    if (type == kSettings && (flags & kAck) == 0) raw(frame(kSettings, kAck, 0, ""));
    head_ |= type == kHeaders;
    reset_ |= type == kRstStream;
    end_ |= (type == kHeaders || type == kData) && (flags & kEndStream) != 0;
    if (type == kData) took(in_.substr(9, size));
    in_.erase(0, 9 + size);
    return true;
  }
  void took(const std::string& bytes) {
    body_ += bytes;
    if (!taking_ || bytes.empty()) return;
    raw(frame(kWindowUpdate, 0, 0, number(bytes.size(), 4)) +
        frame(kWindowUpdate, 0, 1, number(bytes.size(), 4)));
  }
  std::string body_;
  bool greeted_ = false;
  bool head_ = false;
  bool end_ = false;
  bool reset_ = false;
  bool taking_ = true;
};

// Accepts one connection and runs its script, on a thread of its own.
template <class Connection>
class ScriptedBackend {
 public:
  explicit ScriptedBackend(std::function<void(Connection&)> script) : script_(std::move(script)) {
    port = free_.port;
    thread_ = std::thread([this] { run(); });
  }
  ~ScriptedBackend() {
    ::shutdown(free_.socket.get(), SHUT_RDWR);
    thread_.join();
  }
  uint16_t port = 0;

 private:
  void run() {
    pollfd wait{.fd = free_.socket.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, 2000) != 1) return;
    const int socket = ::accept4(free_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    Connection connection(socket);
    script_(connection);
  }
  FreePort free_;
  std::function<void(Connection&)> script_;
  std::thread thread_;
};

}  // namespace terrace::http

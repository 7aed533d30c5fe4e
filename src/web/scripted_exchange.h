#pragma once

#include <string>
#include <utility>
#include <vector>

#include "http/exchange.h"
#include "reactor/mailbox.h"

namespace terrace::web {

// An exchange for tests: the request is given, the answer is kept. A slow client
// takes nothing until it is released.
class ScriptedExchange final : public http::Exchange {
 public:
  ScriptedExchange(Reactor& reactor, http::Method method, std::string target);

  // Fields of the request; the strings are kept.
  void add(std::string_view name, std::string_view value);
  void set_authority(std::string authority);
  void set_peer(const net::Peer& peer) { peer_ = peer; }
  // From now on the client takes nothing before release().
  void hold() { released_.reset(); }
  void release() { released_.set(); }

  // The answer.
  std::string value(std::string_view name) const;  // "" when there is no such field
  int count(std::string_view name) const;
  const std::string& body() const { return body_; }
  bool finished() const { return finished_; }
  bool aborted() const { return aborted_; }
  uint64_t length() const { return length_; }

  http::RequestHead& request() override { return head_; }
  const net::Peer& peer() const override { return peer_; }
  Reactor& reactor() override { return reactor_; }
  Time started() const override { return reactor_.now(); }
  Task<Result<std::string_view>> read_body() override;
  void begin(const http::ResponseHead& head, std::optional<uint64_t> length) override;
  Task<Result<void>> write(std::string_view bytes) override;
  Task<Result<void>> write_last(std::string_view bytes) override;
  Task<Result<void>> flush() override;
  Task<Result<void>> send_file(int file, off_t offset, uint64_t bytes) override;
  Task<Result<void>> finish() override;
  Task<Result<void>> respond(const http::ResponseHead& head, std::string_view body) override;
  void abort() override { aborted_ = true; }
  void cancel() override { aborted_ = true; }
  void link(http::Cancellable*) override {}
  void stop_reading() override {}
  bool client_ended() const override { return false; }
  int status() const override { return status_; }
  bool begun() const override { return status_ != 0; }
  uint64_t body_bytes_sent() const override { return body_.size(); }
  uint64_t body_bytes_received() const override { return 0; }

 private:
  Task<Result<void>> write_later(std::string_view bytes, bool last);
  Task<Result<void>> send_file_later(int file, off_t offset, uint64_t bytes);
  Result<void> take(std::string_view bytes, bool last);
  Result<void> take_file(int file, off_t offset, uint64_t bytes);
  bool sends_body() const;

  Reactor& reactor_;
  std::string method_text_;
  std::string target_;
  std::string authority_;
  std::vector<std::unique_ptr<std::pair<std::string, std::string>>> kept_;
  http::RequestHead head_;
  net::Peer peer_;
  Event released_;

  int status_ = 0;
  uint64_t length_ = 0;
  std::vector<std::pair<std::string, std::string>> fields_;
  std::string body_;
  bool finished_ = false;
  bool aborted_ = false;
};

}  // namespace terrace::web

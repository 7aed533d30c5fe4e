#include "cluster/etcd_client.h"

#include <utility>

namespace terrace::cluster {
namespace {

std::string request_text(const std::string& path, const std::string& body) {
  return "POST " + path +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

Task<Result<std::unique_ptr<http::ClientConnection>>> EtcdClient::connection(Time deadline) {
  while (!idle_.empty()) {
    std::unique_ptr<http::ClientConnection> warm = std::move(idle_.back());
    idle_.pop_back();
    if (warm->fresh()) co_return warm;
  }
  auto made = std::make_unique<http::ClientConnection>(reactor_, http::HeadLimits());
  const Result<void> connected = co_await made->connect(address_, deadline);
  if (!connected) co_return std::unexpected(connected.error());
  co_return made;
}

Task<Result<EtcdClient::Answer>> EtcdClient::exchange(http::ClientConnection& connection, std::string request,
                                                      Time deadline) {
  connection.start(http::Method::kPost);
  const Result<void> written = co_await connection.write(request, deadline - reactor_.now());
  if (!written) co_return std::unexpected(written.error());
  for (;;) {
    const Result<bool> head = connection.read_head_now();
    if (!head) co_return std::unexpected(head.error());
    if (*head) break;
    const Result<void> readable = co_await connection.stream().readable(deadline);
    if (!readable) co_return std::unexpected(readable.error());
  }
  Answer answer{.status = connection.head().status};
  while (!connection.body_done()) {
    const Result<std::string_view> piece = co_await connection.read_body(deadline - reactor_.now());
    if (!piece) co_return std::unexpected(piece.error());
    answer.body += *piece;
    if (answer.body.size() > kAnswerBytesMax) co_return fail(Code::kLimit, "etcd", "too long an answer");
  }
  co_return answer;
}

Task<Result<EtcdClient::Answer>> EtcdClient::post(std::string path, std::string body, Time deadline) {
  Result<std::unique_ptr<http::ClientConnection>> open = co_await connection(deadline);
  if (!open) co_return fail(Code::kUnavailable, "etcd", "no connection to etcd");
  std::string request = request_text(path, body);
  Result<Answer> answer = co_await exchange(**open, std::move(request), deadline);
  if (answer && (*open)->reusable() && idle_.size() < kIdleMax) {
    (*open)->release();
    idle_.push_back(std::move(*open));
  }
  co_return answer;
}

}  // namespace terrace::cluster

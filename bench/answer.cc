#include "bench/answer.h"

#include <sys/sendfile.h>

#include <cerrno>

#include "bench/socket.h"

namespace terrace::bench {
namespace {

constexpr size_t kScratchBytes = 64 << 10;

// How many bytes the kernel took of the part of `answer` that follows `sent`;
// negative as send(2) says it.
ssize_t send_part(int fd, const Answer& answer, size_t sent) {
  if (sent < answer.bytes.size()) {
    const int more = answer.file_bytes > 0 ? MSG_MORE : 0;
    return send(fd, answer.bytes.data() + sent, answer.bytes.size() - sent, MSG_NOSIGNAL | more);
  }
  auto offset = static_cast<off_t>(sent - answer.bytes.size());
  return sendfile(fd, answer.file.get(), &offset, answer.file_bytes - static_cast<size_t>(offset));
}

}  // namespace

AnswerServer::AnswerServer(Descriptor listener, Choose choose)
    : listener_(std::move(listener)), choose_(std::move(choose)), scratch_(kScratchBytes) {
  poller_.add(listener_.get(), nullptr);
}

void AnswerServer::run() {
  while (true) {
    for (const epoll_event& event : poller_.wait()) {
      if (event.data.ptr == nullptr) {
        accept_all();
      } else {
        serve(*static_cast<Connection*>(event.data.ptr), is_ending(event));
      }
    }
  }
}

void AnswerServer::accept_all() {
  while (Descriptor fd = accept_from(listener_.get())) {
    auto connection = std::make_unique<Connection>();
    connection->fd = std::move(fd);
    poller_.add(connection->fd.get(), connection.get());
    connections_[connection->fd.get()] = std::move(connection);
  }
}

void AnswerServer::close(Connection& connection) { connections_.erase(connection.fd.get()); }

void AnswerServer::serve(Connection& connection, bool is_ending) {
  while (connection.sending == nullptr || send_on(connection)) {
    const ssize_t size = recv(connection.fd.get(), scratch_.data(), scratch_.size(), 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return close(connection);
    choose(connection, std::string_view(scratch_.data(), static_cast<size_t>(size)));
    // A short read has emptied the socket: what comes later is an event of its own.
    const bool is_drained = static_cast<size_t>(size) < scratch_.size() && !is_ending;
    if (is_drained && (connection.sending == nullptr || send_on(connection))) return;
  }
  if (is_ending) close(connection);
}

void AnswerServer::choose(Connection& connection, std::string_view bytes) {
  if (!connection.received.empty()) {
    connection.received += bytes;
    bytes = connection.received;
  }
  connection.sending = choose_(bytes);
  connection.sent = 0;
  if (connection.sending != nullptr) {
    connection.received.clear();
  } else if (connection.received.empty()) {
    connection.received = bytes;
  }
}

bool AnswerServer::send_on(Connection& connection) {
  const Answer& answer = *connection.sending;
  const size_t total = answer.bytes.size() + answer.file_bytes;
  while (connection.sent < total) {
    const ssize_t size = send_part(connection.fd.get(), answer, connection.sent);
    if (size <= 0) return false;
    connection.sent += static_cast<size_t>(size);
  }
  connection.sending = nullptr;
  return true;
}

}  // namespace terrace::bench

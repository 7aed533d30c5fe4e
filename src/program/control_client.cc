#include "program/control_client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "program/control.h"

namespace terrace::program {
namespace {

Result<Descriptor> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(Code::kInvalid, "connect", "the socket's path is too long");
  std::memcpy(address.sun_path, path.data(), path.size());
  Descriptor connection(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!connection) return fail_system("socket");
  if (::connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    const bool nobody = errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR;
    return nobody ? fail(Code::kNotFound, "connect", "no site runs here") : fail_system("connect");
  }
  return connection;
}

Result<void> send_line(int connection, std::string_view line) {
  std::string bytes(line);
  bytes += '\n';
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t n = ::send(connection, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_system("send");
    sent += static_cast<size_t>(n);
  }
  return {};
}

}  // namespace

Result<ControlQuestion> ControlQuestion::ask(const std::string& socket, std::string_view line) {
  Result<Descriptor> connection = connect_to(socket);
  if (!connection) return std::unexpected(connection.error());
  if (const Result<void> sent = send_line(connection->get(), line); !sent)
    return std::unexpected(sent.error());
  return ControlQuestion(std::move(*connection));
}

Result<std::string> ControlQuestion::answer(std::chrono::milliseconds wait) {
  const auto deadline = std::chrono::steady_clock::now() + wait;
  while (true) {
    if (const size_t end = received_.find('\n'); end != std::string::npos) {
      std::string line = received_.substr(0, end);
      received_.erase(0, end + 1);
      return line;
    }
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd readable{.fd = connection_.get(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&readable, 1, left.count() < 0 ? 0 : static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail_system("poll");
    if (ready == 0) return fail(Code::kTimeout, "answer", "the controller does not answer");
    if (const Result<void> read = read_more(); !read) return std::unexpected(read.error());
  }
}

// What it says meanwhile is taken, so that neither side waits for the other.
Result<void> ControlQuestion::send(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd ready{.fd = connection_.get(), .events = POLLIN | POLLOUT, .revents = 0};
    if (::poll(&ready, 1, -1) < 0 && errno != EINTR) return fail_system("poll");
    if ((ready.revents & (POLLIN | POLLHUP)) != 0) {
      if (const Result<void> read = read_more(); !read) return fail(Code::kClosed, "send");
    }
    if ((ready.revents & POLLOUT) == 0) continue;
    const ssize_t n = ::send(connection_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return fail(Code::kClosed, "send");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<void> ControlQuestion::read_more() {
  std::array<char, 16 * 1024> bytes;
  const ssize_t n = ::read(connection_.get(), bytes.data(), bytes.size());
  if (n < 0 && errno == EINTR) return {};
  if (n < 0) return fail_system("read");
  if (n == 0) return fail(Code::kClosed, "answer", "the controller closed without an answer");
  received_.append(bytes.data(), static_cast<size_t>(n));
  if (received_.size() > kControlAnswerBytesMax) return fail(Code::kLimit, "answer", "too long");
  return {};
}

Result<std::string> ask_controller(const std::string& socket, std::string_view line,
                                   std::chrono::milliseconds wait) {
  Result<ControlQuestion> question = ControlQuestion::ask(socket, line);
  if (!question) return std::unexpected(question.error());
  return question->answer(wait);
}

Result<std::string> ask_patiently(const std::string& socket, std::string_view line,
                                  std::chrono::milliseconds wait, std::string_view whom) {
  Result<ControlQuestion> question = ControlQuestion::ask(socket, line);
  if (!question) return std::unexpected(question.error());
  Result<std::string> answer = question->answer(std::min(wait, kSilenceMax));
  if (answer || answer.error().code != Code::kTimeout || wait <= kSilenceMax) return answer;
  fmt::print(stderr, "waiting for {} …\n", whom);
  return question->answer(wait - kSilenceMax);
}

std::optional<ControlProgress> parse_progress(std::string_view line) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("progress") || !json["progress"].is_string()) return std::nullopt;
  const nlohmann::json text = json.value("line", nlohmann::json());
  return ControlProgress{.step = json["progress"].get<std::string>(),
                         .line = text.is_string() ? text.get<std::string>() : ""};
}

Result<std::string> follow_controller(const std::string& socket, std::string_view line,
                                      std::chrono::milliseconds wait,
                                      const std::function<void(const ControlProgress&)>& show) {
  Result<ControlQuestion> question = ControlQuestion::ask(socket, line);
  if (!question) return std::unexpected(question.error());
  const auto deadline = std::chrono::steady_clock::now() + wait;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    Result<std::string> said = question->answer(left);
    const std::optional<ControlProgress> progress = said ? parse_progress(*said) : std::nullopt;
    if (!progress) return said;
    show(*progress);
  }
}

std::string describe_control_error(const Error& error, const std::string& socket) {
  if (error.code == Code::kNotFound) {
    return fmt::format("the site does not run: nobody answers at {}; start it with `terrace up`", socket);
  }
  if (error.system == EACCES) {
    return fmt::format("the site runs as another user, who may ask at {}; try with sudo", socket);
  }
  return fmt::format("the controller does not answer: {}", describe(error));
}

}  // namespace terrace::program

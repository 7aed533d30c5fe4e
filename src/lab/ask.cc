#include "lab/ask.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "net/address.h"

namespace terrace::lab {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;

Result<Descriptor> connect_to(const std::string& path) {
  const Result<net::Address> address = net::Address::unix_socket(path);
  if (!address) return std::unexpected(address.error());
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_system("socket");
  if (::connect(socket.get(), address->get(), address->length()) != 0) {
    const bool nobody = errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR;
    return nobody ? fail(Code::kNotFound, "connect") : fail_system("connect");
  }
  return socket;
}

// What has come, and a descriptor with it. 0 at the end.
Result<size_t> receive(int socket, char* into, size_t bytes, Descriptor& descriptor) {
  iovec part{.iov_base = into, .iov_len = bytes};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room;
  message.msg_controllen = sizeof room;
  const ssize_t n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (n < 0) return fail_system("receive");
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int))) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    descriptor = Descriptor(fd);
  }
  return static_cast<size_t>(n);
}

void read_answer(KeeperAnswer& answer) {
  const Json json = Json::parse(answer.line, nullptr, false);
  if (!json.is_object()) {
    answer.error = "the lab's answer cannot be read";
    return;
  }
  answer.ok = json.value("ok", Json()) == true;
  const Json error = json.value("error", Json());
  if (error.is_string()) answer.error = error.get<std::string>();
}

}  // namespace

Result<KeeperAnswer> ask_keeper(const LabFolders& folders, const Request& request,
                                std::chrono::seconds patience) {
  const Result<Descriptor> socket = connect_to(folders.socket());
  if (!socket) return std::unexpected(socket.error());
  const std::string line = write_request(request) + "\n";
  if (::send(socket->get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) return fail_system("send");
  KeeperAnswer answer;
  const auto deadline = Clock::now() + patience;
  while (answer.line.find('\n') == std::string::npos) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd readable{.fd = socket->get(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&readable, 1, std::max<int>(0, static_cast<int>(left.count())));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail_system("poll");
    if (ready == 0) return fail(Code::kTimeout, "answer", "the lab does not answer");
    char block[4096];
    const Result<size_t> read = receive(socket->get(), block, sizeof block, answer.descriptor);
    if (!read) return std::unexpected(read.error());
    if (*read == 0) return fail(Code::kClosed, "answer", "the lab ended");
    answer.line.append(block, *read);
    if (answer.line.size() > kAnswerBytesMax) return fail(Code::kLimit, "answer", "too long");
  }
  answer.line.pop_back();
  read_answer(answer);
  return answer;
}

std::expected<Descriptor, std::string> enter(const LabFolders& folders, const std::string& machine) {
  Result<KeeperAnswer> answer = ask_keeper(folders, {.command = LabCommand::kEnter, .machine = machine});
  if (!answer) return std::unexpected(describe_keeper_error(answer.error(), folders));
  if (!answer->ok) return std::unexpected(answer->error);
  return std::move(answer->descriptor);
}

std::string describe_keeper_error(const Error& error, const LabFolders& folders) {
  if (error.code == Code::kNotFound) return fmt::format("no lab `{}` runs", folders.name);
  if (error.system == EACCES) return "the lab is root's: try with sudo";
  return fmt::format("lab `{}`: {}", folders.name, describe(error));
}

}  // namespace terrace::lab

#include "net/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/assert.h"

namespace terrace::net {

struct Channel::Readable {
  Channel& channel;
  bool await_ready() const noexcept { return channel.cancelled_ || channel.watch_.readable; }
  void await_suspend(std::coroutine_handle<> waiting) const noexcept { channel.watch_.reader = waiting; }
  void await_resume() const noexcept {}
};

Result<std::pair<Descriptor, Descriptor>> Channel::make_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return fail_system("socketpair");
  return std::pair(Descriptor(ends[0]), Descriptor(ends[1]));
}

Result<void> Channel::send(std::span<const char> record, std::span<const int> descriptors) {
  ASSERT(descriptors.size() <= kDescriptorsMax);
  iovec part{.iov_base = const_cast<char*>(record.data()), .iov_len = record.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptorsMax)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  for (;;) {
    if (::sendmsg(descriptor(), &message, MSG_NOSIGNAL) >= 0) return {};
    if (errno != EAGAIN && errno != EINTR) return fail_system("sendmsg");
    pollfd wait{.fd = descriptor(), .events = POLLOUT, .revents = 0};
    if (::poll(&wait, 1, 5000) == 0)
      return fail(Code::kTimeout, "sendmsg", "the other process does not read");
  }
}

Result<Channel::Received> Channel::receive_now(std::span<char> into) {
  iovec part{.iov_base = into.data(), .iov_len = into.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptorsMax)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t n = ::recvmsg(descriptor(), &message, MSG_CMSG_CLOEXEC);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    watch_.readable = false;
    return fail(Code::kWouldBlock, "recvmsg");
  }
  if (n < 0) return fail_system("recvmsg");
  Received received;
  received.bytes = static_cast<size_t>(n);
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count && received.descriptors_count < kDescriptorsMax; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      received.descriptors[static_cast<size_t>(received.descriptors_count++)] = Descriptor(fd);
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return fail(Code::kLimit, "recvmsg", "the record is larger than expected");
  }
  return received;
}

Result<void> Channel::start(Reactor& reactor) {
  const int flags = ::fcntl(descriptor(), F_GETFL);
  if (::fcntl(descriptor(), F_SETFL, flags | O_NONBLOCK) != 0) return fail_system("fcntl");
  const Result<void> watched = watch_.start(reactor, descriptor());
  if (watched) watch_.readable = true;
  return watched;
}

Task<Result<Channel::Received>> Channel::receive(std::span<char> into) {
  for (;;) {
    co_await Readable{*this};
    if (cancelled_) co_return fail(Code::kCancelled, "receive");
    Result<Received> received = receive_now(into);
    if (!received && received.error().code == Code::kWouldBlock) continue;
    co_return received;
  }
}

void Channel::cancel() {
  cancelled_ = true;
  if (watch_.reader) watch_.reactor().resume_later(std::exchange(watch_.reader, nullptr));
}

}  // namespace terrace::net

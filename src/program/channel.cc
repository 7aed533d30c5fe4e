#include "program/channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace terrace::program {
namespace {

struct alignas(cmsghdr) Control {
  char bytes[CMSG_SPACE(sizeof(int))] = {};
};

// The first descriptor of the message; more than one is not ours, but is closed.
Descriptor descriptor_of(msghdr& message) {
  Descriptor first;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= part->cmsg_len; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + at, sizeof fd);
      Descriptor owned(fd);
      if (!first) first = std::move(owned);
    }
  }
  return first;
}

std::unexpected<Error> failure(const char* place) {
  if (errno == EAGAIN || errno == ENOBUFS) return fail(Code::kWouldBlock, place);
  if (errno == EPIPE || errno == ECONNRESET || errno == ECONNREFUSED) return fail(Code::kClosed, place);
  return fail_system(place);
}

}  // namespace

Result<std::pair<Descriptor, Descriptor>> make_channel() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
    return fail_system("socketpair");
  // Room for a burst: every instance of a large site, said at once. The kernel
  // caps it at net.core.wmem_max without an error.
  const int bytes = 4 << 20;
  for (const int end : ends) ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  return std::pair(Descriptor(ends[0]), Descriptor(ends[1]));
}

Kind Received::kind() const {
  Kind kind{};
  if (bytes_.size() >= sizeof kind) std::memcpy(&kind, bytes_.data(), sizeof kind);
  return kind;
}

bool Received::copy_to(void* target, size_t size) const {
  if (bytes_.size() != size) return false;
  std::memcpy(target, bytes_.data(), size);
  return true;
}

Result<void> send_bytes(int channel, const void* bytes, size_t size, int descriptor) {
  iovec part{.iov_base = const_cast<void*>(bytes), .iov_len = size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  Control control;
  if (descriptor >= 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  for (;;) {
    if (::sendmsg(channel, &message, MSG_NOSIGNAL) >= 0) return {};
    if (errno != EINTR) return failure("sendmsg");
  }
}

Result<Received> receive_record(int channel) {
  std::vector<std::byte> bytes(kRecordBytesMax + 1);
  iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
  Control control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  ssize_t size = 0;
  do {
    size = ::recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return failure("recvmsg");
  Descriptor descriptor = descriptor_of(message);
  if (size == 0) return fail(Code::kClosed, "recvmsg");
  bytes.resize(static_cast<size_t>(size));
  return Received(std::move(bytes), std::move(descriptor));
}

}  // namespace terrace::program

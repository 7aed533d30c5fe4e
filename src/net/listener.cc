#include "net/listener.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <iterator>

namespace terrace::net {
namespace {

// Connections taken per wake-up: more would let one core take what another could.
constexpr int kBatch = 8;
// The longest queue that the kernel keeps, at least where nobody has raised it.
constexpr int kBatchesAtClose = SOMAXCONN / kBatch;
// Pause when the process has no descriptor left for a connection.
constexpr Duration kDescriptorPause = std::chrono::milliseconds(100);

}  // namespace

Result<Descriptor> listen_on(const Address& address) {
  Descriptor socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return fail_system("socket");
  const int on = 1;
  if (address.family() != AF_UNIX) {
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  if (address.family() == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(socket.get(), address.get(), address.length()) != 0) return fail_system("bind");
  if (::listen(socket.get(), SOMAXCONN) != 0) return fail_system("listen");
  return socket;
}

void stop_new_connections(int socket) {
  constexpr uint32_t kFlags = 13;  // of a TCP header, RFC 9293, 3.1
  constexpr uint32_t kSyn = 0x02;
  constexpr uint32_t kAck = 0x10;
  constexpr uint32_t kAll = 0xffffffff;
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFlags),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kSyn | kAck),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kSyn, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, kAll),
  };
  const sock_fprog filter = {.len = std::size(program), .filter = program};
  ::setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

class Listener::Acceptable {
 public:
  explicit Acceptable(Listener& listener) : listener_(listener) {}
  bool await_ready() const noexcept { return listener_.closing_; }
  void await_suspend(std::coroutine_handle<> waiting) noexcept { listener_.watch_.reader = waiting; }
  void await_resume() const noexcept {}

 private:
  Listener& listener_;
};

Listener::Listener(Reactor& reactor, Descriptor socket, Acceptor& acceptor, const Log& log)
    : reactor_(reactor), socket_(std::move(socket)), acceptor_(acceptor), log_(log) {}

Listener::~Listener() = default;

Result<void> Listener::start() {
  const Result<void> watched = watch_.start_shared(reactor_, socket_.get());
  if (!watched) return watched;
  scope_.spawn(run());
  return {};
}

Task<void> Listener::close() {
  closing_ = true;
  watch_.stop();
  // The kernel wakes one process for a connection (EPOLLEXCLUSIVE). Where it was this
  // one, nobody else would hear of what has come since.
  for (int i = 0; i < kBatchesAtClose && accept_some(); ++i) continue;
  if (watch_.reader) reactor_.resume_later(std::exchange(watch_.reader, nullptr));
  co_await scope_.join();
  socket_.reset();
}

Task<void> Listener::run() {
  while (!closing_) {
    co_await Acceptable(*this);
    if (closing_) co_return;
    (void)accept_some();
    if (!out_of_descriptors_) continue;
    // Level-triggered: stop watching, or the loop would spin on what it cannot take.
    watch_.stop();
    co_await sleep(reactor_, kDescriptorPause);
    out_of_descriptors_ = false;
    if (closing_) co_return;
    const Result<void> watched = watch_.start_shared(reactor_, socket_.get());
    if (!watched) log_.error("cannot watch a listening socket", {{"error", describe(watched.error())}});
  }
}

// False when nothing waits any more.
bool Listener::accept_some() {
  for (int i = 0; i < kBatch; ++i) {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    Descriptor socket(
        ::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&from), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket) {
      acceptor_.accepted(std::move(socket), Address::from(from, length).peer());
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      log_.error("no descriptor left for a new connection",
                 {{"error", describe(fail_system("accept").error())}});
      out_of_descriptors_ = true;
    }
    if (errno == ECONNABORTED || errno == EINTR) continue;
    return false;
  }
  return true;
}

}  // namespace terrace::net

// The floor for a reverse proxy: what comes from a client goes to the backend
// and back, and nothing is parsed. Each client connection has one connection
// upstream for its whole life, which is what a proxy's keep-alive pool comes to
// under a steady load. A proxy that reads HTTP cannot cost less than this.

#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <unordered_map>
#include <vector>

#include "bench/arguments.h"
#include "bench/poller.h"

namespace terrace::bench {
namespace {

constexpr char kUsage[] = "usage: relay --listen 127.0.0.1:PORT|unix:PATH --to 127.0.0.1:PORT|unix:PATH\n";
constexpr size_t kScratchBytes = 64 << 10;

struct Pair;

// One end of a pair, with the bytes that it did not take yet.
struct Side {
  Descriptor fd;
  Side* other = nullptr;
  Pair* pair = nullptr;
  std::string waiting;
};

struct Pair {
  Side client;
  Side upstream;
};

class Relay {
 public:
  Relay(Descriptor listener, const Endpoint& to)
      : listener_(std::move(listener)), to_(to), scratch_(kScratchBytes) {
    poller_.add(listener_.get(), nullptr);
  }

  [[noreturn]] void run() {
    while (true) {
      for (const epoll_event& event : poller_.wait()) handle(event);
      // Only now: a later event of the same batch may have named the other side.
      ended_.clear();
    }
  }

 private:
  void handle(const epoll_event& event) {
    if (event.data.ptr == nullptr) return accept_all();
    Side& side = *static_cast<Side*>(event.data.ptr);
    if (!side.fd) return;
    if ((event.events & EPOLLOUT) != 0 && !side.waiting.empty()) flush(side);
    if ((event.events & EPOLLIN) != 0) pump(side, is_ending(event));
    if (is_ending(event)) close(*side.pair);
  }

  void accept_all() {
    while (Descriptor fd = accept_from(listener_.get())) {
      auto pair = std::make_unique<Pair>();
      pair->upstream.fd = value_or_exit(connect_to(to_));
      pair->client.fd = std::move(fd);
      join(pair->client, pair->upstream, pair.get());
      join(pair->upstream, pair->client, pair.get());
      pairs_[pair.get()] = std::move(pair);
    }
  }

  void join(Side& side, Side& other, Pair* pair) {
    side.other = &other;
    side.pair = pair;
    poller_.add(side.fd.get(), &side);
  }

  // From `side` to the other one, until `side` is empty or the other one full.
  void pump(Side& side, bool is_ending) {
    while (side.other->fd && side.other->waiting.empty()) {
      const ssize_t size = recv(side.fd.get(), scratch_.data(), scratch_.size(), 0);
      if (size <= 0) return;
      forward(*side.other, std::string_view(scratch_.data(), static_cast<size_t>(size)));
      if (static_cast<size_t>(size) < scratch_.size() && !is_ending) return;
    }
  }

  void forward(Side& to, std::string_view bytes) {
    const ssize_t size = send(to.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    const size_t sent = size > 0 ? static_cast<size_t>(size) : 0;
    if (sent < bytes.size()) to.waiting = bytes.substr(sent);
  }

  // `side` takes bytes again; once it has all, more are read for it.
  void flush(Side& side) {
    const std::string bytes = std::move(side.waiting);
    side.waiting.clear();
    forward(side, bytes);
    if (side.waiting.empty()) pump(*side.other, false);
  }

  void close(Pair& pair) {
    const auto found = pairs_.find(&pair);
    pair.client.fd.reset();
    pair.upstream.fd.reset();
    ended_.push_back(std::move(found->second));
    pairs_.erase(found);
  }

  Descriptor listener_;
  Endpoint to_;
  Poller poller_;
  std::unordered_map<Pair*, std::unique_ptr<Pair>> pairs_;
  std::vector<std::unique_ptr<Pair>> ended_;
  std::vector<char> scratch_;
};

}  // namespace
}  // namespace terrace::bench

int main(int count, char** values) {
  using namespace terrace::bench;
  const Arguments arguments(count, values, kUsage);
  Relay relay(value_or_exit(listen_on(arguments.endpoint("--listen"))), arguments.endpoint("--to"));
  relay.run();
}

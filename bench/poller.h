#pragma once

#include <sys/epoll.h>

#include <array>
#include <span>

#include "base/clock.h"
#include "base/descriptor.h"

namespace terrace::bench {

// Epoll, edge-triggered: every descriptor is registered once, for reading and
// writing, and never changed again, which is what a fast server does too.
class Poller {
 public:
  static constexpr Duration kForever = Duration(-1);

  Poller();
  // `owner` comes back in epoll_event::data.ptr. Closing `fd` takes it out.
  void add(int fd, void* owner);
  // Events until the next call; none when `timeout` passed first.
  std::span<const epoll_event> wait(Duration timeout = kForever);

 private:
  Descriptor epoll_;
  std::array<epoll_event, 256> events_;
};

// The peer has closed its side, or the connection is broken.
inline bool is_ending(const epoll_event& event) {
  return (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
}

}  // namespace terrace::bench

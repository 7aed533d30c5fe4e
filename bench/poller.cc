#include "bench/poller.h"

#include <cerrno>
#include <ctime>

#include "base/assert.h"

namespace terrace::bench {

Poller::Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)) { ASSERT(epoll_); }

void Poller::add(int fd, void* owner) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = owner;
  const int added = epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  ASSERT(added == 0);
}

std::span<const epoll_event> Poller::wait(Duration timeout) {
  constexpr int64_t kSecond = 1'000'000'000;
  const timespec limit{.tv_sec = timeout.count() / kSecond, .tv_nsec = timeout.count() % kSecond};
  const int count = epoll_pwait2(epoll_.get(), events_.data(), static_cast<int>(events_.size()),
                                 timeout < Duration(0) ? nullptr : &limit, nullptr);
  ASSERT(count >= 0 || errno == EINTR);
  return std::span(events_).first(count > 0 ? static_cast<size_t>(count) : 0);
}

}  // namespace terrace::bench

#include "reactor/reactor.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <mutex>

#include "base/assert.h"

namespace terrace {

// The only place where cores meet: a list under a lock, taken once per batch.
struct Reactor::Inbox {
  std::mutex mutex;
  std::vector<std::unique_ptr<Job>> jobs;
};

Result<void> Watch::add(Reactor& reactor, int fd, uint32_t events) {
  ASSERT(reactor_ == nullptr);
  epoll_event event{};
  event.events = events;
  event.data.ptr = this;
  if (::epoll_ctl(reactor.epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_system("epoll_ctl");
  reactor_ = &reactor;
  fd_ = fd;
  readable = writable = hung_up = false;
  return {};
}

Result<void> Watch::start(Reactor& reactor, int fd) {
  shared_ = false;
  return add(reactor, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

Result<void> Watch::start_shared(Reactor& reactor, int fd) {
  shared_ = true;
  return add(reactor, fd, EPOLLIN | EPOLLEXCLUSIVE);
}

void Watch::stop() {
  if (reactor_ == nullptr) return;
  ::epoll_ctl(reactor_->epoll_.get(), EPOLL_CTL_DEL, fd_, nullptr);
  reactor_->forget(*this);
  reactor_ = nullptr;
  fd_ = -1;
}

Result<std::unique_ptr<Reactor>> Reactor::create(const Clock& clock, const Options& options) {
  Descriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_system("epoll_create1");
  Descriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail_system("eventfd");
  epoll_event event{};
  event.events = EPOLLIN;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) return fail_system("epoll_ctl");
  return std::unique_ptr<Reactor>(new Reactor(clock, options, std::move(epoll), std::move(wake)));
}

Reactor::Reactor(const Clock& clock, const Options& options, Descriptor epoll, Descriptor wake)
    : clock_(clock),
      epoll_(std::move(epoll)),
      wake_(std::move(wake)),
      now_(clock.now()),
      timers_(now_),
      buffers_(options.buffers_max),
      random_(options.random_seed != 0 ? options.random_seed : random_seed()),
      scratch_(new char[kScratchBytes]),
      events_(new epoll_event[kEventsMax]),
      inbox_(std::make_unique<Inbox>()) {}

Reactor::~Reactor() = default;

void Reactor::run() {
  while (!stopped_.load(std::memory_order_relaxed)) turn(std::chrono::seconds(10));
}

bool Reactor::run_until(const bool& done, Duration limit) {
  const Time end = clock_.now() + limit;
  while (!done && clock_.now() < end) turn(std::chrono::milliseconds(10));
  return done;
}

void Reactor::stop() {
  stopped_.store(true, std::memory_order_relaxed);
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void Reactor::submit(std::unique_ptr<Job> job) {
  {
    const std::lock_guard lock(inbox_->mutex);
    inbox_->jobs.push_back(std::move(job));
  }
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

// A watch that stops may still stand in the events of this turn.
void Reactor::forget(Watch& watch) {
  for (int i = events_at_; i < events_count_; ++i) {
    if (events_[static_cast<size_t>(i)].data.ptr == &watch) events_[static_cast<size_t>(i)].events = 0;
  }
}

void Reactor::turn(Duration wait_max) {
  const Duration wait = ready_.empty() ? timers_.until_next(now_, wait_max) : Duration(0);
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(wait);
  events_count_ =
      ::epoll_wait(epoll_.get(), events_.get(), kEventsMax, static_cast<int>(milliseconds.count()));
  now_ = clock_.now();
  for (events_at_ = 0; events_at_ < events_count_;) {
    const epoll_event& event = events_[static_cast<size_t>(events_at_++)];
    if (event.events == 0) continue;
    if (event.data.ptr == nullptr) {
      run_jobs();
    } else {
      dispatch(*static_cast<Watch*>(event.data.ptr), event.events);
    }
  }
  timers_.advance(now_);
  run_ready();
}

void Reactor::dispatch(Watch& watch, uint32_t events) {
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) watch.hung_up = true;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) watch.readable = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) watch.writable = true;
  // The reader may end the connection and the watch with it: take the writer
  // first, and let the loop resume it if the reader did not.
  if (watch.writable && watch.writer) resume_later(std::exchange(watch.writer, nullptr));
  if (watch.readable && watch.reader) std::exchange(watch.reader, nullptr).resume();
}

// One round: what becomes ready meanwhile waits for the next turn, so that a
// coroutine that only yields cannot starve the descriptors.
void Reactor::run_ready() {
  if (ready_.empty()) return;
  running_.swap(ready_);
  for (const std::coroutine_handle<> waiting : running_) waiting.resume();
  running_.clear();
}

void Reactor::run_jobs() {
  uint64_t count = 0;
  (void)!::read(wake_.get(), &count, sizeof count);
  std::vector<std::unique_ptr<Job>> jobs;
  {
    const std::lock_guard lock(inbox_->mutex);
    jobs.swap(inbox_->jobs);
  }
  for (const std::unique_ptr<Job>& job : jobs) job->run();
}

}  // namespace terrace

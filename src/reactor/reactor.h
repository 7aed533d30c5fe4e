#pragma once

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/random.h"
#include "base/result.h"
#include "reactor/buffers.h"
#include "reactor/timers.h"

struct epoll_event;

namespace terrace {

class Reactor;

// A descriptor's readiness, edge-triggered: registered once for reading and
// writing together, never changed per request. `readable` and `writable` stay
// true until a call would have blocked (or a short read proves it).
// One coroutine may wait for each direction.
class Watch {
 public:
  Watch() = default;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() { stop(); }

  // Starts watching; the descriptor must be non-blocking and outlive the watch.
  Result<void> start(Reactor& reactor, int fd);
  // Accept-style watching: level-triggered, one waiting reactor is woken per event.
  Result<void> start_shared(Reactor& reactor, int fd);
  void stop();
  bool started() const { return reactor_ != nullptr; }
  Reactor& reactor() const { return *reactor_; }

  bool readable = false;
  bool writable = false;
  bool hung_up = false;  // the peer will send no more, or the connection broke: read to learn which
  std::coroutine_handle<> reader;
  std::coroutine_handle<> writer;

 private:
  friend class Reactor;
  Result<void> add(Reactor& reactor, int fd, uint32_t events);
  Reactor* reactor_ = nullptr;
  int fd_ = -1;
  bool shared_ = false;
};

// Work handed to a reactor from another thread or for the next turn.
class Job {
 public:
  virtual ~Job() = default;
  virtual void run() = 0;
};

// One event loop per core. Everything that it owns stays on its thread; only
// submit() and stop() may be called from elsewhere.
class Reactor {
 public:
  struct Options {
    size_t buffers_max = 16384;  // of Buffer::kBytes each
    uint64_t random_seed = 0;    // 0: from the kernel
  };
  static Result<std::unique_ptr<Reactor>> create(const Clock& clock, const Options& options);
  ~Reactor();

  // Runs until stop(). Each turn: ready descriptors, then due timers, then jobs.
  void run();
  // Runs turns until `done` is true or the deadline passes; for tests and start-up.
  bool run_until(const bool& done, Duration limit);
  void stop();

  // The time at the start of this turn; one clock call per turn, not per request.
  Time now() const { return now_; }
  const Clock& clock() const { return clock_; }
  Timers& timers() { return timers_; }
  Buffers& buffers() { return buffers_; }
  Random& random() { return random_; }
  // A scratch area for use without an await in between.
  std::span<char> scratch() { return {scratch_.get(), kScratchBytes}; }
  static constexpr size_t kScratchBytes = 65536;

  // Resumes the coroutine in this turn or the next, from the loop and not from here.
  void resume_later(std::coroutine_handle<> waiting) { ready_.push_back(waiting); }
  // From any thread: runs the job on this reactor. The job is deleted afterwards.
  void submit(std::unique_ptr<Job> job);

 private:
  friend class Watch;
  static constexpr int kEventsMax = 256;

  Reactor(const Clock& clock, const Options& options, Descriptor epoll, Descriptor wake);
  void turn(Duration wait_max);
  void dispatch(Watch& watch, uint32_t events);
  void run_ready();
  void run_jobs();
  void forget(Watch& watch);

  const Clock& clock_;
  Descriptor epoll_;
  Descriptor wake_;  // eventfd
  Time now_;
  Timers timers_;
  Buffers buffers_;
  Random random_;
  std::unique_ptr<char[]> scratch_;
  std::unique_ptr<epoll_event[]> events_;
  int events_count_ = 0;
  int events_at_ = 0;
  std::vector<std::coroutine_handle<>> ready_;
  std::vector<std::coroutine_handle<>> running_;
  struct Inbox;
  std::unique_ptr<Inbox> inbox_;
  std::atomic<bool> stopped_{false};
};

// co_await sleep(reactor, d): resumes d later.
class [[nodiscard]] Sleep final : Timer {
 public:
  Sleep(Reactor& reactor, Duration duration) : reactor_(reactor), duration_(duration) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    waiting_ = waiting;
    reactor_.timers().arm(*this, reactor_.now() + duration_);
  }
  void await_resume() const noexcept {}

 private:
  void expired() override { reactor_.resume_later(waiting_); }
  Reactor& reactor_;
  Duration duration_;
  std::coroutine_handle<> waiting_;
};

// co_await yield(reactor): lets the rest of this turn run first.
class [[nodiscard]] Yield {
 public:
  explicit Yield(Reactor& reactor) : reactor_(reactor) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) { reactor_.resume_later(waiting); }
  void await_resume() const noexcept {}

 private:
  Reactor& reactor_;
};
inline Yield yield(Reactor& reactor) { return Yield(reactor); }

inline Sleep sleep(Reactor& reactor, Duration duration) { return {reactor, duration}; }

}  // namespace terrace

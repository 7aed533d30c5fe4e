#pragma once

// What the controller's coroutines wait for beyond the streams of net: a
// descriptor to become readable, and a time that can be cut short.

#include <coroutine>
#include <utility>

#include "reactor/reactor.h"

namespace terrace::program {

// co_await Readable(watch): until the descriptor may have something to read. Set
// `watch.readable` to false once a read would have blocked.
class [[nodiscard]] Readable {
 public:
  explicit Readable(Watch& watch) : watch_(watch) {}
  bool await_ready() const noexcept { return watch_.readable; }
  void await_suspend(std::coroutine_handle<> waiting) noexcept { watch_.reader = waiting; }
  void await_resume() const noexcept {}

 private:
  Watch& watch_;
};

// co_await alarm.wait(duration): until then, or until ring(). A ring while nobody
// waits is kept for the next wait. One waiter.
class Alarm final : Timer {
 public:
  explicit Alarm(Reactor& reactor) : reactor_(reactor) {}

  class [[nodiscard]] Wait {
   public:
    Wait(Alarm& alarm, Duration duration) : alarm_(alarm), duration_(duration) {}
    bool await_ready() const noexcept { return alarm_.rung_; }
    void await_suspend(std::coroutine_handle<> waiting) {
      alarm_.waiting_ = waiting;
      alarm_.reactor_.timers().arm(alarm_, alarm_.reactor_.now() + duration_);
    }
    void await_resume() const noexcept { alarm_.rung_ = false; }

   private:
    Alarm& alarm_;
    Duration duration_;
  };
  Wait wait(Duration duration) { return {*this, duration}; }

  void ring() {
    rung_ = true;
    disarm();
    resume();
  }

 private:
  void expired() override { resume(); }
  void resume() {
    if (waiting_) reactor_.resume_later(std::exchange(waiting_, nullptr));
  }

  Reactor& reactor_;
  std::coroutine_handle<> waiting_;
  bool rung_ = false;
};

}  // namespace terrace::program

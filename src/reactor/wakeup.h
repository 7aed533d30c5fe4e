#pragma once

#include <utility>

#include "base/assert.h"
#include "reactor/reactor.h"

namespace terrace {

// Where one coroutine waits for another one of its core, or for its deadline. Holds
// no memory of its own, so it can stand in an object that lives for one request.
// What was waited for is a condition of the caller's, asked again after each wait.
class Wakeup final : Timer {
 public:
  Wakeup() = default;
  ~Wakeup() override { ASSERT(!waiting_); }

  class [[nodiscard]] Wait {
   public:
    Wait(Wakeup& wakeup, Reactor& reactor, Time deadline)
        : wakeup_(wakeup), reactor_(reactor), deadline_(deadline) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) {
      ASSERT(!wakeup_.waiting_);
      wakeup_.waiting_ = waiting;
      wakeup_.reactor_ = &reactor_;
      wakeup_.passed_ = false;
      // Left armed when the wait ends: the next one only moves it.
      if (deadline_ != Time::max()) reactor_.timers().arm(wakeup_, deadline_);
    }
    // kTimeout when the deadline passed first.
    Result<void> await_resume() const {
      if (wakeup_.passed_) return fail(Code::kTimeout, "wait");
      return {};
    }

   private:
    Wakeup& wakeup_;
    Reactor& reactor_;
    Time deadline_;
  };

  // Suspends until notify(), at most until the deadline (Time::max(): for ever).
  Wait wait(Reactor& reactor, Time deadline) { return {*this, reactor, deadline}; }
  // Resumes who waits, from the loop and not from here; nothing when nobody does.
  void notify() {
    if (waiting_) reactor_->resume_later(std::exchange(waiting_, nullptr));
  }

 private:
  void expired() override {
    if (!waiting_) return;
    passed_ = true;
    notify();
  }
  std::coroutine_handle<> waiting_;
  Reactor* reactor_ = nullptr;
  bool passed_ = false;
};

}  // namespace terrace

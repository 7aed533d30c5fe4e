#pragma once

#include <memory>
#include <utility>

#include "reactor/reactor.h"

namespace terrace {

// Runs `action` on the reactor's thread: messages between cores move what they
// carry. `action` is a plain callable, never a coroutine lambda.
template <class Action>
void submit(Reactor& reactor, Action action) {
  struct ActionJob final : Job {
    explicit ActionJob(Action a) : action(std::move(a)) {}
    void run() override { action(); }
    Action action;
  };
  reactor.submit(std::make_unique<ActionJob>(std::move(action)));
}

// An event that coroutines of one core wait for: set() resumes all who wait.
class Event {
 public:
  explicit Event(Reactor& reactor) : reactor_(reactor) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  bool is_set() const { return set_; }
  void set();
  void reset() { set_ = false; }

  class [[nodiscard]] Wait {
   public:
    explicit Wait(Event& event) : event_(event) {}
    bool await_ready() const noexcept { return event_.set_; }
    void await_suspend(std::coroutine_handle<> waiting) { event_.waiting_.push_back(waiting); }
    void await_resume() const noexcept {}

   private:
    Event& event_;
  };
  Wait wait() { return Wait(*this); }

  // As wait(), for no longer than the deadline: then kTimeout.
  class [[nodiscard]] WaitUntil final : Timer {
   public:
    WaitUntil(Event& event, Time deadline) : event_(event), deadline_(deadline) {}
    bool await_ready() const noexcept { return event_.set_; }
    void await_suspend(std::coroutine_handle<> waiting);
    Result<void> await_resume();

   private:
    void expired() override;
    Event& event_;
    Time deadline_;
    std::coroutine_handle<> waiting_;
    bool passed_ = false;
  };
  WaitUntil wait_until(Time deadline) { return WaitUntil(*this, deadline); }

 private:
  Reactor& reactor_;
  bool set_ = false;
  std::vector<std::coroutine_handle<>> waiting_;
};

}  // namespace terrace

#pragma once

#include <coroutine>

#include "base/metrics.h"
#include "reactor/reactor.h"

namespace terrace {

// Coroutines of one core that wait for something that is taken, such as a place at a
// backend: first in, first out, at most so many, each until a deadline of its own.
// Waiting allocates nothing.
//
// A turn is a chance and no promise: whoever is woken tries to take again, and whoever
// comes newly joins the line as long as somebody waits in it. Nobody may wait any more
// when the line is destroyed.
class WaitingLine {
 public:
  // What became of those who did not get their turn. Outlives the line.
  struct Losses {
    Counter& timeouts;   // left at their deadline
    Counter& overflows;  // turned away at once, because the line was full
  };
  WaitingLine(Reactor& reactor, int length_max, const Losses& losses)
      : reactor_(reactor), length_max_(length_max), losses_(losses) {}
  ~WaitingLine();
  WaitingLine(const WaitingLine&) = delete;
  WaitingLine& operator=(const WaitingLine&) = delete;

  void set_length_max(int length_max) { length_max_ = length_max; }
  int length() const { return length_; }
  bool empty() const { return first_ == nullptr; }
  bool full() const { return length_ >= length_max_; }

  // co_await line.turn(deadline): waits to be woken. False at the deadline; at once when
  // the line is full or the deadline has passed.
  class Turn;
  Turn turn(Time deadline);
  // Those who have waited longest, at most `count`.
  void wake(int count);

 private:
  void leave(Turn& turn);

  Reactor& reactor_;
  int length_max_;
  Losses losses_;
  Turn* first_ = nullptr;  // oldest first
  Turn* last_ = nullptr;
  int length_ = 0;
};

class [[nodiscard]] WaitingLine::Turn final : Timer {
 public:
  Turn(WaitingLine& line, Time deadline) : line_(line), deadline_(deadline) {}
  bool await_ready() noexcept;
  void await_suspend(std::coroutine_handle<> waiting);
  bool await_resume() const { return woken_; }

 private:
  friend class WaitingLine;
  void expired() override;
  WaitingLine& line_;
  Time deadline_;
  std::coroutine_handle<> waiting_;
  Turn* next_ = nullptr;
  Turn* previous_ = nullptr;
  bool woken_ = false;
};

inline WaitingLine::Turn WaitingLine::turn(Time deadline) { return {*this, deadline}; }

}  // namespace terrace

#include "reactor/waiting_line.h"

#include "base/assert.h"

namespace terrace {

WaitingLine::~WaitingLine() { ASSERT(first_ == nullptr); }

void WaitingLine::wake(int count) {
  while (count-- > 0 && first_ != nullptr) {
    Turn& turn = *first_;
    leave(turn);
    turn.woken_ = true;
    turn.disarm();
    reactor_.resume_later(turn.waiting_);
  }
}

void WaitingLine::leave(Turn& turn) {
  (turn.previous_ != nullptr ? turn.previous_->next_ : first_) = turn.next_;
  (turn.next_ != nullptr ? turn.next_->previous_ : last_) = turn.previous_;
  --length_;
}

bool WaitingLine::Turn::await_ready() noexcept {
  if (line_.reactor_.now() >= deadline_) return true;
  if (!line_.full()) return false;
  line_.losses_.overflows.add();
  return true;
}

void WaitingLine::Turn::await_suspend(std::coroutine_handle<> waiting) {
  waiting_ = waiting;
  woken_ = false;
  previous_ = line_.last_;
  next_ = nullptr;
  (previous_ != nullptr ? previous_->next_ : line_.first_) = this;
  line_.last_ = this;
  ++line_.length_;
  line_.reactor_.timers().arm(*this, deadline_);
}

void WaitingLine::Turn::expired() {
  line_.leave(*this);
  line_.losses_.timeouts.add();
  line_.reactor_.resume_later(waiting_);
}

}  // namespace terrace

#include "reactor/mailbox.h"

namespace terrace {

void Event::set() {
  set_ = true;
  for (const std::coroutine_handle<> waiting : waiting_) reactor_.resume_later(waiting);
  waiting_.clear();
}

void Event::WaitUntil::await_suspend(std::coroutine_handle<> waiting) {
  waiting_ = waiting;
  event_.waiting_.push_back(waiting);
  event_.reactor_.timers().arm(*this, deadline_);
}

Result<void> Event::WaitUntil::await_resume() {
  disarm();
  if (passed_) return fail(Code::kTimeout, "wait");
  return {};
}

void Event::WaitUntil::expired() {
  // Not in the list: the event was set in this turn, and that resumes us.
  passed_ = std::erase(event_.waiting_, waiting_) > 0;
  if (passed_) event_.reactor_.resume_later(waiting_);
}

}  // namespace terrace

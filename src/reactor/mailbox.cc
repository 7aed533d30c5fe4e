#include "reactor/mailbox.h"

namespace terrace {

void Event::set() {
  set_ = true;
  for (const std::coroutine_handle<> waiting : waiting_) reactor_.resume_later(waiting);
  waiting_.clear();
}

}  // namespace terrace

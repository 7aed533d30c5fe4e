#include "reactor/offload.h"

#include <pthread.h>

#include "base/assert.h"
#include "reactor/mailbox.h"

namespace terrace {

Offload::~Offload() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ASSERT(waiting_.empty());
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

bool Offload::Call::await_suspend(std::coroutine_handle<> waiting) {
  // The thread may resume the caller, and end this object with it, as soon as the
  // call stands in the queue.
  Offload& offload = offload_;
  if (!offload.thread_.joinable()) offload.start();
  {
    const std::lock_guard lock(offload.mutex_);
    if (offload.waiting_.size() >= offload.calls_max_) return false;
    accepted_ = true;
    offload.waiting_.push_back({.work = &work_, .caller = waiting});
  }
  offload.changed_.notify_one();
  return true;
}

void Offload::start() {
  thread_ = std::thread([this] { run(); });
  ::pthread_setname_np(thread_.native_handle(), "offload");
}

void Offload::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const Waiting next = waiting_.front();
    waiting_.pop_front();
    lock.unlock();
    next.work->run();
    submit(reactor_, [caller = next.caller] { caller.resume(); });
    lock.lock();
  }
}

}  // namespace terrace

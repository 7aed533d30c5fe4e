#pragma once

#include <condition_variable>
#include <coroutine>
#include <deque>
#include <mutex>
#include <thread>

#include "reactor/reactor.h"

namespace terrace {

// One thread for what would block a reactor: reading from and writing to disk,
// compressing. It is started by the first call. Calls run one after the other, in order.
class Offload {
 public:
  // What runs on the thread. The caller keeps it until the call has ended.
  class Work {
   public:
    virtual ~Work() = default;
    virtual void run() = 0;
  };

  // At most `calls_max` calls wait; one more is refused.
  Offload(Reactor& reactor, size_t calls_max) : reactor_(reactor), calls_max_(calls_max) {}
  // No call may be under way.
  ~Offload();
  Offload(const Offload&) = delete;
  Offload& operator=(const Offload&) = delete;

  // co_await call(work): true when it ran, false when it was refused.
  class [[nodiscard]] Call {
   public:
    Call(Offload& offload, Work& work) : offload_(offload), work_(work) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiting);
    bool await_resume() const noexcept { return accepted_; }

   private:
    Offload& offload_;
    Work& work_;
    bool accepted_ = false;
  };
  Call call(Work& work) { return {*this, work}; }

 private:
  struct Waiting {
    Work* work = nullptr;
    std::coroutine_handle<> caller;
  };
  void start();
  void run();

  Reactor& reactor_;
  size_t calls_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace terrace

#pragma once

#include <coroutine>

#include "reactor/task.h"

namespace terrace {

// Joins the coroutines that were spawned into it: no work is detached. A spawned
// Task owns its arguments or borrows what outlives the scope. Destroying a scope
// with running children is a bug.
class Scope {
 public:
  Scope() = default;
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() { ASSERT(running_ == 0); }

  // Starts the task now; it runs until its first wait before this returns.
  void spawn(Task<void> task);
  int running() const { return running_; }

  // Waits until no child runs. One waiter.
  class [[nodiscard]] Join {
   public:
    explicit Join(Scope& scope) : scope_(scope) {}
    bool await_ready() const noexcept { return scope_.running_ == 0; }
    void await_suspend(std::coroutine_handle<> waiting) noexcept { scope_.joiner_ = waiting; }
    void await_resume() const noexcept {}

   private:
    Scope& scope_;
  };
  Join join() { return Join(*this); }

 private:
  struct Child;
  static Child run(Scope& scope, Task<void> task);
  void ended();
  int running_ = 0;
  std::coroutine_handle<> joiner_;
};

}  // namespace terrace

#include "reactor/scope.h"

#include <utility>

namespace terrace {

// A coroutine that starts at once and frees itself at its end.
struct Scope::Child {
  struct promise_type {
    static void* operator new(size_t bytes) { return FramePool::allocate(bytes); }
    static void operator delete(void* frame, size_t bytes) { FramePool::release(frame, bytes); }
    Child get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    [[noreturn]] void unhandled_exception() noexcept { task_detail::exception_left_coroutine(); }
  };
};

Scope::Child Scope::run(Scope& scope, Task<void> task) {
  {
    Task<void> child = std::move(task);
    co_await child;
  }
  scope.ended();
}

void Scope::spawn(Task<void> task) {
  ++running_;
  run(*this, std::move(task));
}

void Scope::ended() {
  if (--running_ == 0 && joiner_) std::exchange(joiner_, nullptr).resume();
}

}  // namespace terrace

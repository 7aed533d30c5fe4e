#pragma once

#include <cstddef>
#include <cstdint>

namespace terrace {

// Memory for coroutine frames: free lists by size class, one set per thread, so
// that a request in steady state allocates nothing. A frame is freed on the
// thread that made it (an object belongs to the core that made it). Frames over
// kPooledMax bytes come from the heap.
class FramePool {
 public:
  static constexpr size_t kPooledMax = 16384;

  static void* allocate(size_t bytes);
  static void release(void* frame, size_t bytes);
  // How many times this thread went to the heap so far; constant in steady state.
  static uint64_t heap_allocations();
};

}  // namespace terrace

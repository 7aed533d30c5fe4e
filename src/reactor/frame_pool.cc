#include "reactor/frame_pool.h"

#include <array>
#include <new>

namespace terrace {
namespace {

constexpr size_t kStep = 64;
constexpr size_t kClasses = FramePool::kPooledMax / kStep;
// A free list longer than this gives memory back to the heap.
constexpr uint32_t kFreeMax = 4096;

struct FreeFrame {
  FreeFrame* next;
};

struct FreeList {
  FreeFrame* first = nullptr;
  uint32_t size = 0;
};

struct Pool {
  std::array<FreeList, kClasses> lists;
  uint64_t heap_allocations = 0;
  ~Pool() {
    for (FreeList& list : lists) {
      while (list.first != nullptr) {
        FreeFrame* frame = list.first;
        list.first = frame->next;
        ::operator delete(frame);
      }
    }
  }
};

// Per thread by nature: a frame never changes its thread.
thread_local Pool pool;

}  // namespace

void* FramePool::allocate(size_t bytes) {
  if (bytes > kPooledMax) {
    ++pool.heap_allocations;
    return ::operator new(bytes);
  }
  const size_t index = (bytes - 1) / kStep;
  FreeList& list = pool.lists[index];
  if (list.first == nullptr) {
    ++pool.heap_allocations;
    return ::operator new((index + 1) * kStep);
  }
  FreeFrame* frame = list.first;
  list.first = frame->next;
  --list.size;
  return frame;
}

void FramePool::release(void* frame, size_t bytes) {
  if (bytes > kPooledMax) {
    ::operator delete(frame);
    return;
  }
  FreeList& list = pool.lists[(bytes - 1) / kStep];
  if (list.size >= kFreeMax) {
    ::operator delete(frame);
    return;
  }
  auto* free = static_cast<FreeFrame*>(frame);
  free->next = list.first;
  list.first = free;
  ++list.size;
}

uint64_t FramePool::heap_allocations() { return pool.heap_allocations; }

}  // namespace terrace

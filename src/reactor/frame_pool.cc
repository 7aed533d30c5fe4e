#include "reactor/frame_pool.h"

#include <array>
#include <new>

namespace terrace {
namespace {

// Small frames in steps of 64 bytes, large ones (with a head inside) in steps of 1 KiB.
constexpr size_t kStep = 64;
constexpr size_t kSmallMax = 2048;
constexpr size_t kLargeStep = 1024;
constexpr size_t kSmallClasses = kSmallMax / kStep;
constexpr size_t kClasses = kSmallClasses + FramePool::kPooledMax / kLargeStep;
// A free list that holds more bytes than this gives memory back to the heap.
constexpr size_t kFreeBytesMax = 8 << 20;

struct SizeClass {
  size_t index;
  size_t bytes;
};

SizeClass class_of(size_t bytes) {
  if (bytes <= kSmallMax) {
    const size_t index = (bytes - 1) / kStep;
    return {index, (index + 1) * kStep};
  }
  const size_t step = (bytes - 1) / kLargeStep;
  return {kSmallClasses + step, (step + 1) * kLargeStep};
}

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
  const SizeClass size = class_of(bytes);
  FreeList& list = pool.lists[size.index];
  if (list.first == nullptr) {
    ++pool.heap_allocations;
    return ::operator new(size.bytes);
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
  const SizeClass size = class_of(bytes);
  FreeList& list = pool.lists[size.index];
  if (list.size * size.bytes >= kFreeBytesMax) {
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

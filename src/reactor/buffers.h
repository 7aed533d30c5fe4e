#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace terrace {

class Buffers;

// One pooled buffer of kBufferBytes; returns itself to its pool.
class Buffer {
 public:
  // A full head of 16 KiB and what we add to it. With the allocator's own word this is
  // an odd number of cache lines: buffers in a row do not compete for the same sets.
  static constexpr size_t kBytes = 16384 + 1024 + 56;

  Buffer() = default;
  Buffer(Buffer&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), data_(std::exchange(other.data_, nullptr)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      release();
      pool_ = std::exchange(other.pool_, nullptr);
      data_ = std::exchange(other.data_, nullptr);
    }
    return *this;
  }
  ~Buffer() { release(); }

  explicit operator bool() const { return data_ != nullptr; }
  char* data() const { return data_; }
  static constexpr size_t size() { return kBytes; }
  void release();

 private:
  friend class Buffers;
  Buffer(Buffers* pool, char* data) : pool_(pool), data_(data) {}
  Buffers* pool_ = nullptr;
  char* data_ = nullptr;
};

// The buffers of one core, last in first out so that the warm one is used again.
// Idle connections hold none. At most `buffers_max` exist; take() gives an empty
// Buffer beyond that, and the connection is refused or closed.
class Buffers {
 public:
  explicit Buffers(size_t buffers_max) : buffers_max_(buffers_max) {}
  ~Buffers();
  Buffers(const Buffers&) = delete;

  Buffer take();
  size_t in_use() const { return in_use_; }
  uint64_t heap_allocations() const { return heap_allocations_; }

 private:
  friend class Buffer;
  // Free buffers kept for the next burst; more go back to the heap.
  static constexpr size_t kFreeMax = 256;
  size_t buffers_max_;
  size_t in_use_ = 0;
  uint64_t heap_allocations_ = 0;
  std::vector<char*> free_;
};

}  // namespace terrace

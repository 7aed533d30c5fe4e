#include "reactor/buffers.h"

#include <new>

#include "base/assert.h"

namespace terrace {

void Buffer::release() {
  if (data_ == nullptr) return;
  char* data = std::exchange(data_, nullptr);
  Buffers& pool = *std::exchange(pool_, nullptr);
  --pool.in_use_;
  if (pool.free_.size() < Buffers::kFreeMax) {
    pool.free_.push_back(data);
  } else {
    ::operator delete(data);
  }
}

Buffer Buffers::take() {
  if (in_use_ >= buffers_max_) return {};
  ++in_use_;
  if (!free_.empty()) {
    char* data = free_.back();
    free_.pop_back();
    return {this, data};
  }
  ++heap_allocations_;
  free_.reserve(kFreeMax);
  return {this, static_cast<char*>(::operator new(Buffer::kBytes))};
}

Buffers::~Buffers() {
  ASSERT(in_use_ == 0);
  for (char* data : free_) ::operator delete(data);
}

}  // namespace terrace

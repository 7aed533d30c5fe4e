#include "http/http2_body.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace terrace::http {

bool Http2Body::append(Buffers& buffers, std::string_view bytes) {
  const size_t room = count_ == 0 ? 0 : Buffer::size() - end_;
  const size_t more = bytes.size() <= room ? 0 : (bytes.size() - room - 1) / Buffer::size() + 1;
  if (count_ + more > kBuffersMax) return false;
  for (size_t i = 0; i < more; ++i) {
    at(first_ + count_ + i) = buffers.take();
    if (at(first_ + count_ + i)) continue;
    while (i > 0) at(first_ + count_ + --i).release();
    return false;
  }
  size_ += bytes.size();
  while (!bytes.empty()) {
    if (count_ == 0 || end_ == Buffer::size()) {
      if (count_ == 0) begin_ = 0;
      ++count_;
      end_ = 0;
    }
    const size_t step = std::min(bytes.size(), Buffer::size() - end_);
    std::memcpy(at(first_ + count_ - 1).data() + end_, bytes.data(), step);
    end_ += step;
    bytes.remove_prefix(step);
  }
  return true;
}

std::string_view Http2Body::front() const {
  if (size_ == 0) return {};
  const size_t end = count_ == 1 ? end_ : Buffer::size();
  return {buffers_[first_].data() + begin_, end - begin_};
}

void Http2Body::pop(size_t bytes) {
  if (bytes == 0) return;
  ASSERT(bytes <= front().size());
  begin_ += bytes;
  size_ -= bytes;
  const size_t end = count_ == 1 ? end_ : Buffer::size();
  if (begin_ < end) return;
  buffers_[first_].release();
  first_ = (first_ + 1) % kBuffersMax;
  begin_ = 0;
  if (--count_ == 0) end_ = 0;
}

void Http2Body::clear() {
  while (count_ > 0) pop(front().size());
}

}  // namespace terrace::http

#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "http/http2_limits.h"
#include "reactor/buffers.h"

namespace terrace::http {

// The bytes of one stream's body that have come and are not yet taken, in order, in
// pooled buffers. How many can be in it is the flow control's to say: a peer that
// sends more than the stream's window is refused before its bytes get here.
class Http2Body {
 public:
  // Copies the bytes behind what is there. False when no buffer is left or the window
  // was not kept: nothing was added.
  bool append(Buffers& buffers, std::string_view bytes);
  size_t size() const { return size_; }
  // What is first, in one piece: not all of it. Stays where it is until popped.
  std::string_view front() const;
  // Takes `bytes` of front() off.
  void pop(size_t bytes);
  void clear();

 private:
  // The first may be used up but for a byte, and the last may hold one.
  static constexpr size_t kBuffersMax = Http2Limits::kStreamWindowMax / Buffer::kBytes + 2;

  Buffer& at(size_t index) { return buffers_[index % kBuffersMax]; }
  std::array<Buffer, kBuffersMax> buffers_;
  size_t first_ = 0;  // the buffer that front() is in
  size_t count_ = 0;
  size_t begin_ = 0;  // in the first buffer
  size_t end_ = 0;    // in the last
  size_t size_ = 0;
};

}  // namespace terrace::http

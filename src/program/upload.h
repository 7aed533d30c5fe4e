#pragma once

// The upload of a release over the control socket: frames of a length (4 bytes, big
// endian) and as many bytes; a length of zero ends it. A connection that ends before was
// cut off, and what came is no release.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace terrace::program {

constexpr size_t kUploadFrameBytesMax = 1 << 20;

class UploadFrames {
 public:
  // What may stand behind the end: nothing, or what is none of this one's business.
  enum class Behind : uint8_t { kNothing, kMayFollow };
  explicit UploadFrames(Behind behind = Behind::kNothing) : behind_(behind) {}

  // The contents in what came next, as views into `bytes`, in order. kLimit for a frame
  // above the limit, kInvalid for bytes behind the end.
  Result<std::vector<std::string_view>> add(std::string_view bytes);
  bool complete() const { return complete_; }
  uint64_t bytes() const { return bytes_; }

 private:
  Result<void> take_length(char byte);

  Behind behind_;
  size_t left_ = 0;  // of this frame
  uint32_t length_ = 0;
  int length_bytes_ = 0;  // that came of it
  bool complete_ = false;
  uint64_t bytes_ = 0;
};

// The length in front of a frame.
std::string upload_length(size_t bytes);

}  // namespace terrace::program

#include "program/upload.h"

#include <algorithm>
#include <utility>

namespace terrace::program {

Result<void> UploadFrames::take_length(char byte) {
  length_ = length_ << 8 | static_cast<unsigned char>(byte);
  if (++length_bytes_ < 4) return {};
  length_bytes_ = 0;
  left_ = std::exchange(length_, 0);
  if (left_ > kUploadFrameBytesMax) return fail(Code::kLimit, "upload", "a frame is too long");
  complete_ = left_ == 0;
  return {};
}

Result<std::vector<std::string_view>> UploadFrames::add(std::string_view bytes) {
  std::vector<std::string_view> contents;
  while (!bytes.empty()) {
    if (complete_ && behind_ == Behind::kMayFollow) return contents;
    if (complete_) return fail(Code::kInvalid, "upload", "bytes behind its end");
    if (left_ == 0) {
      if (Result<void> taken = take_length(bytes.front()); !taken) return std::unexpected(taken.error());
      bytes.remove_prefix(1);
      continue;
    }
    const size_t part = std::min(left_, bytes.size());
    contents.push_back(bytes.substr(0, part));
    bytes.remove_prefix(part);
    left_ -= part;
    bytes_ += part;
  }
  return contents;
}

std::string upload_length(size_t bytes) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(bytes >> shift & 0xff);
  return text;
}

}  // namespace terrace::program

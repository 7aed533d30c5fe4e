#include "cluster/frames.h"

#include <utility>

#include "base/assert.h"

namespace terrace::cluster {
namespace {

bool is_kind(uint8_t byte) { return byte == 'm' || byte == 'd' || byte == 'e'; }

size_t length_in(std::string_view head) {
  size_t length = 0;
  for (const char byte : head.substr(1, 4)) length = length << 8 | static_cast<uint8_t>(byte);
  return length;
}

}  // namespace

std::string frame_bytes(FrameKind kind, std::string_view body) {
  ASSERT(body.size() <= (kind == FrameKind::kMessage ? kMessageBytesMax
                         : kind == FrameKind::kData  ? kDataBytesMax
                                                     : 0));
  std::string bytes;
  bytes.reserve(kFrameHeadBytes + body.size());
  bytes += static_cast<char>(kind);
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(body.size() >> shift & 0xff);
  bytes += body;
  return bytes;
}

size_t FrameReader::limit_of(FrameKind kind) const {
  switch (kind) {
    case FrameKind::kMessage:
      return message_bytes_max_;
    case FrameKind::kData:
      return kDataBytesMax;
    case FrameKind::kEnd:
      return 0;
  }
  return 0;
}

void FrameReader::add(std::string_view bytes) {
  bytes_.erase(0, std::exchange(taken_, 0));
  bytes_ += bytes;
}

Result<std::optional<Frame>> FrameReader::next() {
  const std::string_view rest = std::string_view(bytes_).substr(taken_);
  if (rest.empty()) return std::nullopt;
  if (!is_kind(static_cast<uint8_t>(rest[0]))) return fail(Code::kInvalid, "frame", "it is of no known kind");
  if (rest.size() < kFrameHeadBytes) return std::nullopt;
  const auto kind = static_cast<FrameKind>(rest[0]);
  const size_t length = length_in(rest);
  if (length > limit_of(kind)) return fail(Code::kLimit, "frame", "it is too long");
  if (rest.size() < kFrameHeadBytes + length) return std::nullopt;
  Frame frame{.kind = kind, .body = std::string(rest.substr(kFrameHeadBytes, length))};
  taken_ += kFrameHeadBytes + length;
  return frame;
}

}  // namespace terrace::cluster

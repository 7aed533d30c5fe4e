#pragma once

// The frames of the control channel: how messages and data stand on an encrypted stream.
//
//   1 byte    kind: 'm' message, 'd' data, 'e' end of the data
//   4 bytes   length of the body, big endian
//   body      of a message one JSON object (hello.h, channel.h); of data any bytes; of
//             the end nothing
//
// A length beyond the limit of its kind is refused as soon as the head is there, before
// any of the body is kept.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace terrace::cluster {

enum class FrameKind : uint8_t { kMessage = 'm', kData = 'd', kEnd = 'e' };

constexpr size_t kFrameHeadBytes = 5;
// What is longer goes as data: a whole site file, the shared state.
constexpr size_t kMessageBytesMax = 1 << 20;
constexpr size_t kDataBytesMax = 64 << 10;

struct Frame {
  FrameKind kind = FrameKind::kMessage;
  std::string body;
  bool operator==(const Frame&) const = default;
};

// The bytes of a frame. The body must be within the limit of its kind.
std::string frame_bytes(FrameKind kind, std::string_view body);

// Frames out of the bytes of a stream, however they are cut.
class FrameReader {
 public:
  // `message_bytes_max`: smaller for a peer that is not known yet.
  explicit FrameReader(size_t message_bytes_max = kMessageBytesMax) : message_bytes_max_(message_bytes_max) {}

  void allow_messages(size_t bytes_max) { message_bytes_max_ = bytes_max; }
  void add(std::string_view bytes);
  // The next whole frame, or nothing as long as bytes of it are missing. kInvalid for a
  // kind that there is not, kLimit for a length that is too great; both for good.
  Result<std::optional<Frame>> next();
  // Whether the stream may end here: no part of a frame is left over.
  bool empty() const { return bytes_.size() == taken_; }

 private:
  size_t limit_of(FrameKind kind) const;

  size_t message_bytes_max_;
  std::string bytes_;
  size_t taken_ = 0;  // of these, from the front; moved once for many small frames
};

}  // namespace terrace::cluster

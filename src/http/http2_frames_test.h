#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/live_test.h"

// For tests: frames of HTTP/2 (RFC 9113 section 4) byte by byte, as no library would
// send them, and what came back.

namespace terrace::http {

enum FrameType : uint8_t {
  kData,
  kHeaders,
  kPriority,
  kRstStream,
  kSettings,
  kPushPromise,
  kPing,
  kGoaway,
  kWindowUpdate,
  kContinuation
};
inline constexpr uint8_t kEndStream = 1;
inline constexpr uint8_t kAck = 1;
inline constexpr uint8_t kEndHeaders = 4;
inline constexpr uint8_t kPadded = 8;
inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

inline std::string number(uint64_t value, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) text += static_cast<char>(value >> shift);
  return text;
}

inline std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  return number(payload.size(), 3) + number(type, 1) + number(flags, 1) + number(stream, 4) +
         std::string(payload);
}

inline std::string setting(uint16_t id, uint32_t value) { return number(id, 2) + number(value, 4); }

// An integer of HPACK with a prefix of 7 bits (RFC 7541 section 5.1).
inline std::string prefixed(size_t value) {
  if (value < 127) return number(value, 1);
  std::string text = "\x7f";
  for (value -= 127; value >= 128; value >>= 7) text += static_cast<char>(value | 128);
  return text + static_cast<char>(value);
}

// A literal field, never indexed, without Huffman coding.
inline std::string field(std::string_view name, std::string_view value) {
  return "\x10" + prefixed(name.size()) + std::string(name) + prefixed(value.size()) + std::string(value);
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

inline std::string block(const Pairs& pairs) {
  std::string text;
  for (const auto& [name, value] : pairs) text += field(name, value);
  return text;
}

inline Pairs request(std::string_view method, std::string_view path, const Pairs& more = {}) {
  Pairs pairs = {{":method", std::string(method)},
                 {":scheme", "http"},
                 {":authority", "shop.example.com"},
                 {":path", std::string(path)}};
  pairs.insert(pairs.end(), more.begin(), more.end());
  return pairs;
}

inline std::string headers(uint32_t stream, const Pairs& pairs, uint8_t flags = kEndStream) {
  return frame(kHeaders, flags | kEndHeaders, stream, block(pairs));
}

struct Frame {
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;
  std::string payload;

  uint32_t word(size_t at) const {
    uint32_t value = 0;
    for (size_t i = at; i < at + 4 && i < payload.size(); ++i) value = value << 8 | uint8_t(payload[i]);
    return value;
  }
  // Of RST_STREAM and GOAWAY.
  uint32_t error() const { return word(type == kGoaway ? 4 : 0); }
};

// A client that says what it is told to, and reads frames.
class FrameClient {
 public:
  explicit FrameClient(uint16_t port, std::string_view settings = {}) : raw_(port) {
    raw_.send(std::string(kPreface) + frame(kSettings, 0, 0, settings));
  }
  void send(std::string_view bytes) { raw_.send(bytes); }
  RawClient& raw() { return raw_; }
  // The next frame; its type is 255 at the end of the connection.
  Frame next() {
    while (bytes_.size() < 9 || bytes_.size() < 9 + size()) {
      if (!raw_.read_more(bytes_)) return {.type = 255};
    }
    Frame got{.type = uint8_t(bytes_[3]), .flags = uint8_t(bytes_[4])};
    for (size_t i = 5; i < 9; ++i) got.stream = got.stream << 8 | uint8_t(bytes_[i]);
    got.payload = bytes_.substr(9, size());
    bytes_.erase(0, 9 + got.payload.size());
    return got;
  }
  // The next frame of this type, or the end.
  Frame next(uint8_t type) {
    for (;;) {
      Frame got = next();
      if (got.type == type || got.type == 255) return got;
    }
  }
  // The body of the answer on a stream, up to its end or reset.
  std::string body(uint32_t stream) {
    std::string text;
    for (;;) {
      const Frame got = next();
      if (got.type == 255) return text + "<closed>";
      if (got.stream != stream) continue;
      if (got.type == kRstStream) return text + "<reset " + std::to_string(got.error()) + ">";
      if (got.type == kData) text += got.payload;
      if ((got.type == kData || got.type == kHeaders) && (got.flags & kEndStream) != 0) return text;
    }
  }
  // The code that the connection ends with; -1 when it ends without a GOAWAY.
  int ends_with() {
    int code = -1;
    for (;;) {
      const Frame got = next();
      if (got.type == 255) return code;
      if (got.type == kGoaway) code = static_cast<int>(got.error());
    }
  }

 private:
  size_t size() const {
    return size_t{uint8_t(bytes_[0])} << 16 | size_t{uint8_t(bytes_[1])} << 8 | uint8_t(bytes_[2]);
  }
  RawClient raw_;
  std::string bytes_;
};

}  // namespace terrace::http

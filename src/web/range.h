#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace terrace::web {

// Bytes `first` to `last`, both included, of a representation.
struct ByteRange {
  uint64_t first = 0;
  uint64_t last = 0;
  uint64_t bytes() const { return last - first + 1; }
  bool operator==(const ByteRange&) const = default;
};

// A Range field applied to a representation of some size (RFC 9110 section 14).
class Ranges {
 public:
  // More parts than this and the field is ignored: the whole is cheaper to send.
  static constexpr size_t kPartsMax = 16;

  enum class Kind : uint8_t {
    kIgnored,        // other units, bad syntax or too many parts: answer with the whole
    kSatisfiable,    // parts() are within the representation and do not overlap
    kUnsatisfiable,  // 416
  };

  static Ranges parse(std::string_view value, uint64_t size);

  Kind kind() const { return kind_; }
  std::span<const ByteRange> parts() const { return {parts_.data(), count_}; }

 private:
  void coalesce();

  Kind kind_ = Kind::kIgnored;
  size_t count_ = 0;
  std::array<ByteRange, kPartsMax> parts_;
};

}  // namespace terrace::web

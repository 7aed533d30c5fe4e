#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/parser.h"

namespace terrace::http {

// The chunked coding (RFC 9112 section 7.1), strict and incremental.
// Extensions are checked and dropped; trailers are checked and dropped (never
// merged). Allocates nothing.
class ChunkDecoder {
 public:
  // Chunk-size lines, extensions and trailers together may exceed the data by
  // this much; more is an attack of many tiny chunks.
  static constexpr uint64_t kOverheadMax = 16384;

  struct Step {
    Parsed state = Parsed::kIncomplete;
    size_t consumed = 0;    // bytes of the input that are done with
    std::string_view data;  // body bytes inside the consumed part, may be empty
  };
  // Eats from the front of `bytes` until one piece of data was found, the input
  // is used up, the body ended (kDone; consumed includes the last CRLF) or the
  // coding is broken (kRefused). Call again with what is left.
  Step decode(std::string_view bytes);
  void reset();
  const Refusal& refusal() const { return refusal_; }

 private:
  enum class State : uint8_t {
    kSize,
    kSizeDigits,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailer,
    kTrailerLf,
    kEndLf,
    kDone
  };
  State state_ = State::kSize;
  uint64_t remaining_ = 0;  // bytes of the current chunk still to come
  uint64_t overhead_ = 0;   // bytes that were not data, less an allowance per byte of data
  Refusal refusal_;
};

}  // namespace terrace::http

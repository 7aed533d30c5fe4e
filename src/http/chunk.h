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
  // What is not data is overhead: size lines, extensions, the line ends after
  // data, trailers. The first kFramingFree bytes of it per chunk are free, so a
  // stream of tiny chunks may go on for ever. Beyond them each byte counts, each
  // byte of data pays one back, and a sum above kOverheadMax is an attack.
  static constexpr uint32_t kFramingFree = 16;
  static constexpr uint32_t kOverheadMax = 16384;
  // A larger chunk than this is refused: 2^63 - 1.
  static constexpr uint64_t kSizeMax = UINT64_MAX >> 1;

  struct Step {
    Parsed state = Parsed::kIncomplete;
    size_t consumed = 0;    // bytes of the input that are done with
    std::string_view data;  // body bytes inside the consumed part, may be empty
  };
  // Eats from the front of `bytes` until one piece of data was found, the input
  // is used up, the body ended (kDone; consumed includes the last CRLF) or the
  // coding is broken (kRefused). Call again with what is left.
  Step decode(std::string_view bytes);
  void reset() { *this = ChunkDecoder(); }
  const Refusal& refusal() const { return refusal_; }

 private:
  enum class State : uint8_t {
    kSize,        // the first digit must come
    kSizeDigits,  // another digit, an extension or the end of the line
    kExtension,   // after `;`, or the space that follows it
    kExtensionName,
    kExtensionValue,  // after `=`
    kExtensionToken,
    kExtensionQuoted,
    kExtensionEscape,  // after a backslash in quotes
    kExtensionEnd,     // after the closing quote
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailerName,
    kTrailerValue,
    kTrailerLf,
    kEndLf,
    kDone
  };
  Step take_data(std::string_view bytes, size_t consumed);
  bool take(char c);
  bool count_overhead();
  bool take_size(char c);
  bool take_extension(char c);
  bool take_trailer(char c);
  bool expect(char c, char expected, State next);
  bool begin_data(char c);

  State state_ = State::kSize;
  uint32_t framing_ = 0;    // bytes since the last data
  uint32_t overhead_ = 0;   // bytes, less what data paid back
  uint64_t remaining_ = 0;  // bytes of the current chunk still to come
  Refusal refusal_;
};

}  // namespace terrace::http

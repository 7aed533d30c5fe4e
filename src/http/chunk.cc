#include "http/chunk.h"

#include <algorithm>

#include "http/syntax.h"

namespace terrace::http {

ChunkDecoder::Step ChunkDecoder::decode(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size() && state_ != State::kDone; i++) {
    if (state_ == State::kData) return take_data(bytes, i);
    if (!count_overhead() || !take(bytes[i])) return {.state = Parsed::kRefused, .consumed = i};
    if (state_ == State::kDone) return {.state = Parsed::kDone, .consumed = i + 1};
  }
  if (state_ == State::kDone) return {.state = Parsed::kDone};
  return {.consumed = bytes.size()};
}

ChunkDecoder::Step ChunkDecoder::take_data(std::string_view bytes, size_t consumed) {
  const size_t size = std::min<uint64_t>(remaining_, bytes.size() - consumed);
  remaining_ -= size;
  if (remaining_ == 0) state_ = State::kDataCr;
  framing_ = 0;
  overhead_ -= static_cast<uint32_t>(std::min<uint64_t>(overhead_, size));
  return {.consumed = consumed + size, .data = bytes.substr(consumed, size)};
}

bool ChunkDecoder::count_overhead() {
  if (framing_ < kFramingFree) {
    framing_++;
    return true;
  }
  if (overhead_ == kOverheadMax) return refusal_.because(400, "too much that is not data in a chunked body");
  overhead_++;
  return true;
}

bool ChunkDecoder::take(char c) {
  switch (state_) {
    case State::kSize:
    case State::kSizeDigits:
      return take_size(c);
    case State::kSizeLf:
      return begin_data(c);
    case State::kDataCr:
      return expect(c, '\r', State::kDataLf);
    case State::kDataLf:
      return expect(c, '\n', State::kSize);
    case State::kTrailerStart:
    case State::kTrailerName:
    case State::kTrailerValue:
      return take_trailer(c);
    case State::kTrailerLf:
      return expect(c, '\n', State::kTrailerStart);
    case State::kEndLf:
      return expect(c, '\n', State::kDone);
    default:
      return take_extension(c);
  }
}

bool ChunkDecoder::expect(char c, char expected, State next) {
  state_ = next;
  return c == expected || refusal_.because(400, "a chunk, or a line of the coding, does not end in CRLF");
}

// 1*HEXDIG, then an extension or the end of the line. The white space that the
// RFC allows before `;` is refused: readers have disagreed on it.
bool ChunkDecoder::take_size(char c) {
  const int digit = hex_value(c);
  if (digit >= 0) {
    if (remaining_ > kSizeMax >> 4) return refusal_.because(400, "a chunk size is out of range");
    remaining_ = remaining_ << 4 | static_cast<uint64_t>(digit);
    state_ = State::kSizeDigits;
    return true;
  }
  if (state_ == State::kSize || (c != ';' && c != '\r')) {
    return refusal_.because(400, "a chunk size is not a hexadecimal number");
  }
  state_ = c == ';' ? State::kExtension : State::kSizeLf;
  return true;
}

bool ChunkDecoder::begin_data(char c) {
  // RFC 9112 section 7.1: a chunk of no bytes is the last one.
  return expect(c, '\n', remaining_ == 0 ? State::kTrailerStart : State::kData);
}

// RFC 9112 section 7.1.1: `;name`, `;name=token` or `;name="quoted"`, any number.
bool ChunkDecoder::take_extension(char c) {
  const bool token = is_token_byte(c);
  const State end = c == ';' ? State::kExtension : State::kSizeLf;
  const bool ends = c == ';' || c == '\r';
  switch (state_) {
    case State::kExtension:
      if (token) state_ = State::kExtensionName;
      if (token || is_space(c)) return true;
      break;
    case State::kExtensionName:
      if (c == '=' || ends) state_ = ends ? end : State::kExtensionValue;
      if (c == '=' || ends || token) return true;
      break;
    case State::kExtensionValue:
      state_ = c == '"' ? State::kExtensionQuoted : State::kExtensionToken;
      if (c == '"' || token) return true;
      break;
    case State::kExtensionToken:
    case State::kExtensionEnd:
      if (ends) state_ = end;
      if (ends || (token && state_ == State::kExtensionToken)) return true;
      break;
    case State::kExtensionQuoted:
      if (c == '"' || c == '\\') state_ = c == '"' ? State::kExtensionEnd : State::kExtensionEscape;
      if (is_value_byte(c)) return true;
      break;
    default:
      state_ = State::kExtensionQuoted;
      if (is_value_byte(c)) return true;
      break;
  }
  return refusal_.because(400, "bad chunk extension");
}

// Field lines up to an empty one.
bool ChunkDecoder::take_trailer(char c) {
  if (state_ == State::kTrailerStart && c == '\r') {
    state_ = State::kEndLf;
    return true;
  }
  if (state_ == State::kTrailerValue) {
    if (c == '\r') state_ = State::kTrailerLf;
    return c == '\r' || is_value_byte(c) || refusal_.because(400, "a control byte in a trailer");
  }
  if (is_token_byte(c)) {
    state_ = State::kTrailerName;
    return true;
  }
  if (state_ == State::kTrailerStart || c != ':') return refusal_.because(400, "bad trailer name");
  state_ = State::kTrailerValue;
  return true;
}

}  // namespace terrace::http

#include "certificates/token.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"

// What is read as a token prints the same text again: there is one text for each. The
// bytes are tried as the text itself and, with the checksum put right, as what a text
// stands for, which chance would never find.

namespace {

using namespace terrace::certificates;

std::string base32_of(std::string_view bytes) {
  std::string text;
  uint32_t held = 0;
  int bits = 0;
  for (const char byte : bytes) {
    held = held << 8 | static_cast<uint8_t>(byte);
    for (bits += 8; bits >= 5; bits -= 5) text += "abcdefghijklmnopqrstuvwxyz234567"[held >> (bits - 5) & 31];
  }
  if (bits > 0) text += "abcdefghijklmnopqrstuvwxyz234567"[held << (5 - bits) & 31];
  return text;
}

void check(std::string_view text) {
  const auto token = Token::parse(text);
  if (!token) {
    ASSERT(token.error().text[0] != '\0');
    return;
  }
  const std::string again = token->print();
  ASSERT(again.size() <= Token::kTextBytesMax);
  ASSERT(text.find(again) != std::string_view::npos);
  ASSERT(Token::parse(again) == *token);
  ASSERT(secret_matches(token->secret_hex(), token->secret_hash()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check(bytes);
  const Fingerprint digest = fingerprint_of(bytes);
  const std::string_view checksum(reinterpret_cast<const char*>(digest.bytes.data()), 4);
  check("terrace1." + base32_of(std::string(bytes).append(checksum)));
  return 0;
}

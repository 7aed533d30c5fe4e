#include "certificates/hex.h"

namespace terrace::certificates {

constexpr std::string_view kDigits = "0123456789abcdef";

std::string hex_of(std::span<const uint8_t> bytes) {
  std::string text;
  for (const uint8_t byte : bytes) text.append({kDigits[byte >> 4], kDigits[byte & 15]});
  return text;
}

bool read_hex(std::string_view text, std::span<uint8_t> into) {
  if (text.size() != 2 * into.size()) return false;
  if (text.find_first_not_of(kDigits) != std::string_view::npos) return false;
  for (size_t i = 0; i < into.size(); ++i) {
    into[i] = static_cast<uint8_t>(kDigits.find(text[2 * i]) << 4 | kDigits.find(text[2 * i + 1]));
  }
  return true;
}

}  // namespace terrace::certificates

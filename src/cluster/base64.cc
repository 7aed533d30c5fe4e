#include "cluster/base64.h"

#include <array>
#include <cstdint>

namespace terrace::cluster {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> kValues = [] {
  std::array<int8_t, 256> values{};
  values.fill(-1);
  for (size_t i = 0; i < kAlphabet.size(); ++i)
    values[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  return values;
}();

char letter(uint32_t bits, int shift) { return kAlphabet[(bits >> shift) & 63]; }

// Appends the bytes of one group of four letters, the last `padding` of which are `=`.
bool append_group(std::string& out, std::string_view group, int padding) {
  uint32_t bits = 0;
  for (int i = 0; i < 4 - padding; ++i) {
    const int8_t value = kValues[static_cast<uint8_t>(group[static_cast<size_t>(i)])];
    if (value < 0) return false;
    bits |= static_cast<uint32_t>(value) << (18 - 6 * i);
  }
  for (int i = 0; i < 3 - padding; ++i) out += static_cast<char>((bits >> (16 - 8 * i)) & 255);
  // Bits that stand for no byte must be zero, so that bytes have one text only.
  return padding == 0 || (bits & (padding == 1 ? 0xFFu : 0xFFFFu)) == 0;
}

}  // namespace

std::string to_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const std::string_view group = bytes.substr(at, 3);
    uint32_t bits = 0;
    for (size_t i = 0; i < group.size(); ++i)
      bits |= static_cast<uint32_t>(static_cast<uint8_t>(group[i])) << (16 - 8 * i);
    out += letter(bits, 18);
    out += letter(bits, 12);
    out += group.size() > 1 ? letter(bits, 6) : '=';
    out += group.size() > 2 ? letter(bits, 0) : '=';
  }
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (size_t at = 0; at < text.size(); at += 4) {
    const std::string_view group = text.substr(at, 4);
    const bool last = at + 4 == text.size();
    const int padding = !last ? 0 : group.ends_with("==") ? 2 : group.ends_with('=') ? 1 : 0;
    if (!append_group(out, group, padding)) return std::nullopt;
  }
  return out;
}

}  // namespace terrace::cluster

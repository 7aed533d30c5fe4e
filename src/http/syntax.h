#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace terrace::http {

// The character classes of RFC 9110 and 9112, as tables and as checks of whole
// strings that look at 16 bytes at a time.

constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_space(char c) { return c == ' ' || c == '\t'; }

consteval std::array<bool, 256> token_bytes() {
  std::array<bool, 256> table{};
  for (int i = 0; i < 128; i++) {
    const char c = static_cast<char>(i);
    const bool mark = std::string_view("!#$%&'*+-.^_`|~").contains(c);
    table[static_cast<size_t>(i)] = is_letter(c) || is_digit(c) || mark;
  }
  return table;
}
inline constexpr std::array<bool, 256> kTokenBytes = token_bytes();

// tchar of RFC 9110 section 5.6.2.
constexpr bool is_token_byte(char c) { return kTokenBytes[static_cast<uint8_t>(c)]; }

// At least one byte, all of them token bytes.
constexpr bool is_token(std::string_view text) {
  for (const char c : text) {
    if (!is_token_byte(c)) return false;
  }
  return !text.empty();
}

// A byte of a field value: visible, space, tab, or above ASCII (RFC 9110 section 5.5).
constexpr bool is_value_byte(char c) {
  const auto byte = static_cast<uint8_t>(c);
  return (byte >= 0x20 && byte != 0x7f) || c == '\t';
}

// A byte of a request target: visible ASCII without `#` (RFC 9112 section 3.2).
// Stricter readers would also refuse `"`, `<`, `|` and the like, which real
// clients send.
constexpr bool is_target_byte(char c) { return c > 0x20 && c < 0x7f && c != '#'; }

// -1 when `c` is no hexadecimal digit.
constexpr int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_value(std::string_view text);
bool is_target(std::string_view text);

// Letters of ASCII only; the locale has no say.
bool equals_ignoring_case(std::string_view a, std::string_view b);

// Without the spaces and tabs around it.
constexpr std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// Takes the next element off a comma-separated list, trimmed; it may be empty.
std::string_view next_element(std::string_view& list);

}  // namespace terrace::http

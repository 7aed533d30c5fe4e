#include "http/url.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "base/assert.h"
#include "http/syntax.h"

namespace terrace::http {
namespace {

constexpr std::unexpected<Error> bad(const char* text) { return fail(Code::kInvalid, "path", text); }

bool is_control(char c) {
  const auto byte = static_cast<uint8_t>(c);
  return byte < 0x20 || byte == 0x7f;
}

// How many bytes follow a first byte of UTF-8, and the smallest code point that
// needs that many; a smaller one is an overlong form (RFC 3629 section 3).
struct Lead {
  int more;
  uint32_t smallest;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {0, 0};
  if (byte >= 0xc2 && byte <= 0xdf) return {1, 0x80};
  if (byte >= 0xe0 && byte <= 0xef) return {2, 0x800};
  if (byte >= 0xf0 && byte <= 0xf4) return {3, 0x10000};
  return {-1, 0};
}

// The bytes of the character at the front, or 0 when it is not UTF-8.
size_t character_bytes(std::string_view text) {
  const Lead lead = lead_of(static_cast<uint8_t>(text[0]));
  if (lead.more <= 0) return lead.more == 0 ? 1 : 0;
  if (text.size() <= static_cast<size_t>(lead.more)) return 0;
  uint32_t point = static_cast<uint8_t>(text[0]) & (0x3fu >> lead.more);
  for (size_t i = 1; i <= static_cast<size_t>(lead.more); i++) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if ((byte & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte & 0x3fu);
  }
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  if (point < lead.smallest || point > 0x10ffff || surrogate) return 0;
  return static_cast<size_t>(lead.more) + 1;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t bytes = character_bytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

// `.` and `..`, alone or before path parameters: servers disagree on `/..;/`.
bool is_dot_segment(std::string_view segment) {
  const std::string_view name = segment.substr(0, segment.find(';'));
  return name == "." || name == "..";
}

// The byte that the front of `text` stands for, taken off it; or why it is refused.
struct Decoded {
  char byte = 0;
  const char* fault = nullptr;
};

Decoded take_byte(std::string_view& text) {
  char byte = text[0];
  size_t used = 1;
  if (byte == '%') {
    const int high = text.size() >= 3 ? hex_value(text[1]) : -1;
    const int low = text.size() >= 3 ? hex_value(text[2]) : -1;
    if (high < 0 || low < 0) return {.fault = "a percent sign without two hexadecimal digits"};
    byte = static_cast<char>(high << 4 | low);
    used = 3;
    if (byte == '/') return {.fault = "an encoded slash"};
  }
  if (byte == '\\') return {.fault = "a backslash"};
  if (is_control(byte)) return {.fault = "a control byte"};
  text.remove_prefix(used);
  return {.byte = byte};
}

bool is_host_byte(char c) {
  return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

// Whether the path is its own normal form: ASCII that needs no decoding, no
// double slash, and no segment that begins with a dot. Nearly all paths are.
bool is_normal(std::string_view path) {
  char before = 0;
  for (const char c : path) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '%' || c == '\\') return false;
    if (before == '/' && (c == '/' || c == '.')) return false;
    before = c;
  }
  return true;
}

// The general case of normalise_path.
Result<std::string_view> decode_path(std::string_view path, std::span<char> into) {
  path.remove_prefix(1);
  into[0] = '/';
  size_t size = 1;
  size_t segment = 1;  // where the last one begins
  bool above_ascii = false;
  const auto last_is_dots = [&] { return is_dot_segment({into.data() + segment, size - segment}); };
  while (!path.empty()) {
    if (path[0] == '/') {
      if (last_is_dots()) return bad("a dot segment");
      path.remove_prefix(1);
      if (size > segment) into[size++] = '/';
      segment = size;
      continue;
    }
    const Decoded decoded = take_byte(path);
    if (decoded.fault != nullptr) return bad(decoded.fault);
    above_ascii = above_ascii || static_cast<uint8_t>(decoded.byte) >= 0x80;
    into[size++] = decoded.byte;
  }
  if (last_is_dots()) return bad("a dot segment");
  const std::string_view result(into.data(), size);
  if (above_ascii && !is_utf8(result)) return bad("bytes that are not UTF-8");
  return result;
}

bool is_address_byte(char c) { return hex_value(c) >= 0 || c == ':' || c == '.'; }

bool valid_host(std::string_view host) {
  constexpr size_t kHostMax = 255;  // bytes, RFC 1035 section 2.3.4
  if (host.empty() || host.size() > kHostMax) return false;
  if (host.front() != '[') return std::ranges::all_of(host, is_host_byte);
  if (host.back() != ']') return false;
  const std::string_view address = host.substr(1, host.size() - 2);
  return address.size() >= 2 && address.contains(':') && std::ranges::all_of(address, is_address_byte);
}

bool valid_port(std::string_view port) {
  if (port.empty() || port.size() > 5 || !std::ranges::all_of(port, is_digit)) return false;
  int number = 0;
  for (const char c : port) number = number * 10 + (c - '0');
  return number <= 65535;
}

}  // namespace

Result<std::string_view> normalise_path(std::string_view path, std::span<char> into) {
  ASSERT(into.size() >= path.size());
  if (!path.starts_with('/')) return bad("does not begin with a slash");
  if (!is_normal(path)) return decode_path(path, into);
  memcpy(into.data(), path.data(), path.size());
  return std::string_view(into.data(), path.size());
}

bool has_opaque_slash(std::string_view path) {
  std::string plain;
  bool found = false;
  while (!path.empty()) {
    const bool slash = path.starts_with("%2f") || path.starts_with("%2F");
    plain += slash ? '/' : path[0];
    path.remove_prefix(slash ? 3 : 1);
    found = found || slash;
  }
  std::string decoded(plain.size(), '\0');
  return found && normalise_path(plain, decoded).has_value();
}

std::string_view host_of(std::string_view authority) {
  const size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || authority.ends_with(']')) return authority;
  return authority.substr(0, colon);
}

bool valid_authority(std::string_view authority) {
  const std::string_view host = host_of(authority);
  if (host.size() == authority.size()) return valid_host(host);
  return valid_host(host) && valid_port(authority.substr(host.size() + 1));
}

}  // namespace terrace::http

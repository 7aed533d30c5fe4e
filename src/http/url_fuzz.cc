#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "http/syntax.h"
#include "http/url.h"

namespace terrace::http {
namespace {

void check_normal(std::string_view path) {
  ASSERT(path.starts_with('/') && !path.contains("//") && !path.contains('\\'));
  for (const char c : path) ASSERT(static_cast<uint8_t>(c) >= 0x20 && c != 0x7f);
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    ASSERT(segment != "." && segment != ".." && !segment.starts_with(".;") && !segment.starts_with("..;"));
    path.remove_prefix(segment.size());
  }
}

// Every byte but slashes as %XX.
std::string encode(std::string_view path) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : path) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '/') {
      encoded += c;
    } else {
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return encoded;
}

void check_path(std::string_view path) {
  std::string into(path.size(), '\0');
  const Result<std::string_view> result = normalise_path(path, into);
  if (!result.has_value()) return;
  check_normal(*result);
  ASSERT(result->size() <= path.size());
  // A percent sign was an encoded one and must not be decoded a second time.
  std::string again(result->size(), '\0');
  const Result<std::string_view> second = normalise_path(*result, again);
  ASSERT(result->contains('%') || (second.has_value() && *second == *result));
  const std::string encoded = encode(*result);
  std::string decoded(encoded.size(), '\0');
  const Result<std::string_view> third = normalise_path(encoded, decoded);
  ASSERT(third.has_value() && *third == *result);
}

void check_authority(std::string_view authority) {
  const std::string_view host = host_of(authority);
  ASSERT(authority.starts_with(host));
  if (!valid_authority(authority)) return;
  ASSERT(!host.empty() && valid_authority(host));
  for (const char c : authority) ASSERT(is_target_byte(c) && !std::string_view("/@,?\\%\"").contains(c));
}

}  // namespace
}  // namespace terrace::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  terrace::http::check_path(text);
  terrace::http::check_authority(text);
  return 0;
}

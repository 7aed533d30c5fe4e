#include "bench/payload.h"

namespace terrace::bench {
namespace {

constexpr size_t kPeriod = 251;
// One comparison covers this many bytes.
constexpr size_t kBlock = 64 * kPeriod;

char letter(uint64_t offset) { return static_cast<char>('a' + offset % kPeriod % 26); }

}  // namespace

std::string payload(size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = letter(i);
  return text;
}

bool is_payload(std::string_view bytes, uint64_t offset) {
  static const std::string pattern = payload(kBlock + kPeriod);
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, kBlock);
    if (part != std::string_view(pattern).substr(offset % kPeriod, part.size())) return false;
    bytes.remove_prefix(part.size());
    offset += part.size();
  }
  return true;
}

std::string response_of(size_t bytes) {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(bytes) +
         "\r\n\r\n" + payload(bytes);
}

}  // namespace terrace::bench

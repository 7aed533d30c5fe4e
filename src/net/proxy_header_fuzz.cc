#include "net/proxy_header.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"

// What is taken was there, reads the same when it is written anew, and depends on no byte
// behind it; what is waited for may still become one.

namespace {

using namespace terrace;
using namespace terrace::net;

void check(const ParsedProxyHeader& parsed, std::string_view text) {
  ASSERT(parsed.bytes <= text.size() && parsed.bytes <= kProxyHeaderBytesMax);
  const auto alone = parse_proxy_header(text.substr(0, parsed.bytes));
  ASSERT(alone && alone->bytes == parsed.bytes);
  std::array<char, kProxyHeaderWrittenBytesMax> buffer{};
  const size_t bytes = write_proxy_header(parsed.header, buffer);
  const auto again = parse_proxy_header({buffer.data(), bytes});
  ASSERT(again && again->bytes == bytes && again->header.local == parsed.header.local);
  ASSERT(again->header.source.ip == parsed.header.source.ip);
  ASSERT(again->header.source.port == parsed.header.source.port);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = parse_proxy_header(text);
  if (parsed) {
    check(*parsed, text);
  } else if (parsed.error().code == Code::kWouldBlock) {
    ASSERT(size < kProxyHeaderBytesMax);
  }
  return 0;
}

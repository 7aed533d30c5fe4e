#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "lab/request.h"

// Whatever is written to the control socket of a lab is a request that would be written
// the same, or is refused.

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace terrace::lab;
  const auto request = parse_request({reinterpret_cast<const char*>(data), size});
  if (!request) return 0;
  const auto again = parse_request(write_request(*request));
  ASSERT(again.has_value());
  ASSERT(*again == *request);
  return 0;
}

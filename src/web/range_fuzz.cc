// Parts that come of any Range field lie within the representation, do not overlap
// and are at most so many.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "web/range.h"

// The first eight bytes are the size of the representation, the rest is the field.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using terrace::web::ByteRange;
  using terrace::web::Ranges;
  uint64_t size = 0;
  if (bytes < sizeof size) return 0;
  std::memcpy(&size, data, sizeof size);
  const std::string_view value(reinterpret_cast<const char*>(data) + sizeof size, bytes - sizeof size);
  const Ranges ranges = Ranges::parse(value, size);
  std::vector<ByteRange> parts(ranges.parts().begin(), ranges.parts().end());
  ASSERT(parts.size() <= Ranges::kPartsMax);
  ASSERT((ranges.kind() == Ranges::Kind::kSatisfiable) == !parts.empty());
  for (const ByteRange& part : parts) ASSERT(part.first <= part.last && part.last < size);
  std::ranges::sort(parts, {}, &ByteRange::first);
  for (size_t i = 1; i < parts.size(); ++i) ASSERT(parts[i - 1].last < parts[i].first);
  return 0;
}

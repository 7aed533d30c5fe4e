// Any Accept-Encoding leads to a coding that is there; one that weighs nothing is
// chosen only when all do.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "web/accept_encoding.h"

// The first byte says which codings there are and which of them are siblings.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace terrace::web;
  if (bytes == 0) return 0;
  CodingSet available;
  CodingSet preferred;
  available.add(Coding::kIdentity);
  for (unsigned i = 1; i < kCodings; ++i) {
    if ((data[0] >> i & 1) != 0) available.add(static_cast<Coding>(i));
    if ((data[0] >> (i + 4) & 1) != 0) preferred.add(static_cast<Coding>(i));
  }
  AcceptEncoding accept;
  accept.add({reinterpret_cast<const char*>(data) + 1, bytes - 1});
  const Coding chosen = accept.choose(available, preferred);
  ASSERT(available.has(chosen));
  for (unsigned i = 0; i < kCodings; ++i) {
    const auto coding = static_cast<Coding>(i);
    ASSERT(accept.weight(coding) >= 0 && accept.weight(coding) <= 1000);
    if (available.has(coding)) ASSERT(accept.weight(chosen) >= accept.weight(coding));
  }
  return 0;
}

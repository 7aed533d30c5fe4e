#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "program/traffic_credentials.h"

// What the worker reads from the member. Whatever is taken keeps the limits and says the same
// when it is written and read again.

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace terrace::program;
  const auto read = read_traffic_identity({reinterpret_cast<const char*>(data), size});
  if (!read) return 0;
  ASSERT(terrace::certificates::is_name(read->server));
  const auto again = read_traffic_identity(to_text(*read));
  ASSERT(again && again->server == read->server && again->key_pem == read->key_pem);
  ASSERT(again->revocations.serials == read->revocations.serials);
  static const terrace::VirtualClock clock;
  const auto made = make_hop_credentials(*read, clock);
  ASSERT(!made || (made->serving && made->asking && made->server == read->server));
  return 0;
}

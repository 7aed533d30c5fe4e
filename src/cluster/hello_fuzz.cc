// The first messages of a peer: whatever is taken for a hello is one that can be said again.

#include <cstdint>
#include <cstdlib>

#include "cluster/hello.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto hello = terrace::cluster::parse_hello(text)) {
    const auto again = terrace::cluster::parse_hello(terrace::cluster::to_json(*hello));
    if (!again || *again != *hello) std::abort();
  }
  if (const auto name = terrace::cluster::request_name(text)) {
    if (name->empty() || name->size() > terrace::cluster::kRequestNameBytesMax) std::abort();
  }
  return 0;
}

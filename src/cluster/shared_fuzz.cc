// Values of the shared state, as another server may have written them: what is accepted is
// written and read again as the same.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "cluster/shared.h"

namespace {

template <class Value>
void check(const terrace::Result<Value>& first, terrace::Result<Value> (*parse)(std::string_view)) {
  if (!first) return;
  const terrace::Result<Value> again = parse(terrace::cluster::to_json(*first));
  ASSERT(again && *again == *first);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace terrace::cluster;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(parse_site_version(text), parse_site_version);
  check(parse_shared_release(text), parse_shared_release);
  check(parse_deploy_note(text), parse_deploy_note);
  return 0;
}

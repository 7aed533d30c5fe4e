#include "cluster/etcd_json.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"

// etcd is ours, but what it sends comes from outside of this process.

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace terrace::cluster;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto answer = parse_etcd_answer(text)) {
    ASSERT(answer->revision > 0);
    (void)etcd_view(*answer);
    for (const auto& range : answer->ranges) {
      const auto entries = etcd_entries(range, 1000);
      if (!entries) continue;
      for (const Entry& entry : *entries) ASSERT(is_key(entry.key) && entry.version > 1000);
    }
  }
  ASSERT(parse_etcd_failure(text).text.size() <= 200);
  if (const auto members = parse_etcd_members(text)) ASSERT(members->size() <= kServersMax);
  return 0;
}

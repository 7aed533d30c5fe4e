// Conditional fields of any content: no crash, and the tag itself always matches.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "web/conditions.h"

namespace {

using terrace::http::Fields;
using terrace::http::HeaderId;

Fields one(std::string_view name, std::string_view value, HeaderId id) {
  Fields fields;
  fields.add({.name = name, .value = value, .id = id, .hop_by_hop = false});
  return fields;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace terrace::web;
  constexpr std::time_t kNow = 1'700'000'000;
  const Validators validators{.etag = "\"0123456789abcdef-br\"", .modified = 784'111'777};
  const std::string value(reinterpret_cast<const char*>(data), bytes);
  for (const HeaderId id : {HeaderId::kIfMatch, HeaderId::kIfNoneMatch, HeaderId::kIfModifiedSince,
                            HeaderId::kIfUnmodifiedSince}) {
    const Outcome outcome = evaluate_conditions(one("If", value, id), validators, kNow);
    const bool may_fail = id == HeaderId::kIfMatch || id == HeaderId::kIfUnmodifiedSince;
    ASSERT(outcome != (may_fail ? Outcome::kNotModified : Outcome::kPreconditionFailed));
  }
  static_cast<void>(range_applies(one("If-Range", value, HeaderId::kIfRange), validators, kNow));
  return 0;
}

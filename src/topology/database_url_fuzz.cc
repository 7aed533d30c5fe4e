#include "topology/database_url.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"

// What is taken reads the same when it is written anew, and no part holds what could
// end it in another reader.

namespace {

using namespace terrace::topology;

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; });
}

void check(const DatabaseUrl& url) {
  ASSERT(!url.scheme.empty() && url.scheme.size() <= 32);
  ASSERT(!has_control(url.host) && !has_control(url.name));
  for (const std::string* part : {&url.user, &url.password, &url.host, &url.name}) {
    ASSERT(part->find('\0') == std::string::npos);
    ASSERT(part->size() <= kDatabaseUrlPartBytesMax);
  }
  const auto again = parse_database_url(to_text(url, url.scheme));
  // Written out it may be too long; then it is refused, not misread.
  ASSERT(again ? *again == url : to_text(url, url.scheme).size() > kDatabaseUrlBytesMax);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto url = parse_database_url(text);
  if (url) {
    check(*url);
  } else {
    ASSERT(!url.error().empty());
  }
  return 0;
}

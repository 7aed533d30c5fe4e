// What is read as a date is one: written again and read again it is the same, and
// the fixed form is only read when it is written exactly so.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "http/date.h"
#include "web/date.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  constexpr std::time_t kNow = 1'700'000'000;
  const std::string_view text(reinterpret_cast<const char*>(data), bytes);
  const std::optional<std::time_t> seconds = terrace::web::parse_date(text, kNow);
  if (!seconds) return 0;
  const auto written = terrace::http::format_date(*seconds);
  ASSERT(terrace::web::parse_date({written.data(), written.size()}, kNow) == seconds);
  return 0;
}

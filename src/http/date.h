#pragma once

#include <array>
#include <ctime>
#include <string_view>

#include "base/clock.h"

namespace terrace::http {

// "Sun, 06 Nov 1994 08:49:37 GMT" (IMF-fixdate, RFC 9110 section 5.6.7).
constexpr size_t kDateBytes = 29;
std::array<char, kDateBytes> format_date(std::time_t seconds);

// The Date of responses, formatted at most once per second and core. It may lag a
// little, so that not every response asks the clock.
class DateCache {
 public:
  // `now`: the reactor's, which tells when the clock is to be asked again.
  std::string_view text(Time now, const Clock& clock);

 private:
  static constexpr Duration kLagMax = std::chrono::milliseconds(50);
  Time until_;
  std::time_t seconds_ = -1;
  std::array<char, kDateBytes> text_{};
};

}  // namespace terrace::http

#pragma once

#include <array>
#include <ctime>
#include <string_view>

#include "base/clock.h"

namespace terrace::http {

// "Sun, 06 Nov 1994 08:49:37 GMT" (IMF-fixdate, RFC 9110 section 5.6.7).
constexpr size_t kDateBytes = 29;
std::array<char, kDateBytes> format_date(std::time_t seconds);

// The Date of responses, formatted at most once per second and core.
class DateCache {
 public:
  void refresh(WallTime wall);
  std::string_view text() const { return {text_.data(), text_.size()}; }

 private:
  std::time_t seconds_ = -1;
  std::array<char, kDateBytes> text_{};
};

}  // namespace terrace::http

#include "http/date.h"

#include <cstring>

namespace terrace::http {
namespace {

void put_two(char* at, int value) {
  at[0] = static_cast<char>('0' + value / 10);
  at[1] = static_cast<char>('0' + value % 10);
}

}  // namespace

std::array<char, kDateBytes> format_date(std::time_t seconds) {
  static constexpr char kDays[] = "SunMonTueWedThuFriSat";
  static constexpr char kMonths[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, kDateBytes> text;
  std::memcpy(text.data(), "???, ?? ??? ???? ??:??:?? GMT", kDateBytes);
  std::memcpy(text.data(), kDays + 3 * parts.tm_wday, 3);
  put_two(&text[5], parts.tm_mday);
  std::memcpy(&text[8], kMonths + 3 * parts.tm_mon, 3);
  put_two(&text[12], (parts.tm_year + 1900) / 100);
  put_two(&text[14], (parts.tm_year + 1900) % 100);
  put_two(&text[17], parts.tm_hour);
  put_two(&text[20], parts.tm_min);
  put_two(&text[23], parts.tm_sec);
  return text;
}

std::string_view DateCache::text(Time now, const Clock& clock) {
  if (now >= until_) {
    until_ = now + kLagMax;
    const std::time_t seconds = std::chrono::system_clock::to_time_t(clock.wall());
    if (seconds != seconds_) text_ = format_date(seconds);
    seconds_ = seconds;
  }
  return {text_.data(), text_.size()};
}

}  // namespace terrace::http

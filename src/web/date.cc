#include "web/date.h"

#include <array>
#include <chrono>

namespace terrace::web {
namespace {

constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 7> kLongDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                       "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct Moment {
  int year = 0;
  int month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
};

// Takes the parts of a date off the front of a text; after the first that does
// not fit, everything fails.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool done() const { return good_ && rest_.empty(); }
  bool starts_with_space() const { return rest_.starts_with(' '); }
  void literal(std::string_view expected) {
    good_ = good_ && rest_.starts_with(expected);
    if (good_) rest_.remove_prefix(expected.size());
  }
  int digits(size_t count) {
    int value = 0;
    for (size_t i = 0; i < count; ++i) {
      good_ = good_ && !rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9';
      if (!good_) return 0;
      value = value * 10 + (rest_[0] - '0');
      rest_.remove_prefix(1);
    }
    return value;
  }
  // The index of the name that stands here. No name begins with another one.
  template <size_t N>
  int one_of(const std::array<std::string_view, N>& names) {
    for (size_t i = 0; i < N; ++i) {
      if (!rest_.starts_with(names[i])) continue;
      rest_.remove_prefix(names[i].size());
      return static_cast<int>(i);
    }
    good_ = false;
    return 0;
  }
  void time(Moment& moment) {
    moment.hour = digits(2);
    literal(":");
    moment.minute = digits(2);
    literal(":");
    moment.second = digits(2);
  }

 private:
  std::string_view rest_;
  bool good_ = true;
};

// Sun, 06 Nov 1994 08:49:37 GMT
bool scan_fixed(std::string_view text, Moment& moment) {
  Scanner scanner(text);
  scanner.one_of(kDays);
  scanner.literal(", ");
  moment.day = scanner.digits(2);
  scanner.literal(" ");
  moment.month = scanner.one_of(kMonths) + 1;
  scanner.literal(" ");
  moment.year = scanner.digits(4);
  scanner.literal(" ");
  scanner.time(moment);
  scanner.literal(" GMT");
  return scanner.done();
}

// Sunday, 06-Nov-94 08:49:37 GMT
bool scan_rfc850(std::string_view text, Moment& moment, std::time_t now) {
  Scanner scanner(text);
  scanner.one_of(kLongDays);
  scanner.literal(", ");
  moment.day = scanner.digits(2);
  scanner.literal("-");
  moment.month = scanner.one_of(kMonths) + 1;
  scanner.literal("-");
  const int two = scanner.digits(2);
  scanner.literal(" ");
  scanner.time(moment);
  scanner.literal(" GMT");
  if (!scanner.done()) return false;
  // More than 50 years ahead means the most recent such year of the past.
  const auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::from_time_t(now));
  const int year = static_cast<int>(std::chrono::year_month_day(today).year());
  moment.year = year - year % 100 + two;
  if (moment.year > year + 50) moment.year -= 100;
  return true;
}

// Sun Nov  6 08:49:37 1994
bool scan_asctime(std::string_view text, Moment& moment) {
  Scanner scanner(text);
  scanner.one_of(kDays);
  scanner.literal(" ");
  moment.month = scanner.one_of(kMonths) + 1;
  scanner.literal(" ");
  if (scanner.starts_with_space()) {
    scanner.literal(" ");
    moment.day = scanner.digits(1);
  } else {
    moment.day = scanner.digits(2);
  }
  scanner.literal(" ");
  scanner.time(moment);
  scanner.literal(" ");
  moment.year = scanner.digits(4);
  return scanner.done();
}

std::optional<std::time_t> to_seconds(const Moment& moment) {
  const std::chrono::year_month_day date{std::chrono::year(moment.year),
                                         std::chrono::month(static_cast<unsigned>(moment.month)),
                                         std::chrono::day(static_cast<unsigned>(moment.day))};
  // 60 is a leap second.
  if (!date.ok() || moment.hour > 23 || moment.minute > 59 || moment.second > 60) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  const std::time_t seconds =
      ((std::time_t{days} * 24 + moment.hour) * 60 + moment.minute) * 60 + moment.second;
  constexpr std::time_t kYearTenThousand = 253'402'300'800;  // has no form of four digits
  return seconds < kYearTenThousand ? std::optional(seconds) : std::nullopt;
}

}  // namespace

std::optional<std::time_t> parse_date(std::string_view text, std::time_t now) {
  Moment moment;
  if (scan_fixed(text, moment) || scan_rfc850(text, moment, now) || scan_asctime(text, moment)) {
    return to_seconds(moment);
  }
  return std::nullopt;
}

}  // namespace terrace::web

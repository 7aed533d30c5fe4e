#include "config/quantity.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace terrace::config {
namespace {

struct Unit {
  std::string_view name;
  int64_t factor;
};

constexpr int64_t kMilliseconds = 1000;
constexpr std::array<Unit, 5> kDurations{{{"d", 24 * 60 * 60 * kMilliseconds},
                                          {"h", 60 * 60 * kMilliseconds},
                                          {"m", 60 * kMilliseconds},
                                          {"s", kMilliseconds},
                                          {"ms", 1}}};
constexpr int64_t kDurationMax = 3650 * kDurations[0].factor;

// In the order in which a value is written back: the first that divides it.
constexpr std::array<Unit, 9> kSizes{{{"TB", 1'000'000'000'000},
                                      {"GB", 1'000'000'000},
                                      {"MB", 1'000'000},
                                      {"TiB", int64_t{1} << 40},
                                      {"GiB", 1 << 30},
                                      {"MiB", 1 << 20},
                                      {"KB", 1000},
                                      {"KiB", 1 << 10},
                                      {"B", 1}}};
constexpr int64_t kSizeMax = int64_t{1} << 53;

template <size_t N>
std::optional<int64_t> parse(std::string_view text, const std::array<Unit, N>& units, int64_t max) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  const std::string_view name(end, text.data() + text.size());
  const auto* unit = std::ranges::find(units, name, &Unit::name);
  if (unit == units.end() || number > max / unit->factor) return std::nullopt;
  return number * unit->factor;
}

template <size_t N>
std::string format(int64_t value, const std::array<Unit, N>& units) {
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0)
      return std::to_string(value / unit.factor) + std::string(unit.name);
  }
  return "0" + std::string(units.back().name);
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto value = parse(text, kDurations, kDurationMax);
  if (!value) return std::nullopt;
  return std::chrono::milliseconds(*value);
}

std::string format_duration(std::chrono::milliseconds duration) {
  return format(duration.count(), kDurations);
}

std::optional<int64_t> parse_size(std::string_view text) { return parse(text, kSizes, kSizeMax); }

std::string format_size(int64_t bytes) { return format(bytes, kSizes); }

}  // namespace terrace::config

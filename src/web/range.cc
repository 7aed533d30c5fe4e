#include "web/range.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "http/syntax.h"

namespace terrace::web {
namespace {

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

// Only digits; too large a number is as good as the largest one.
std::optional<uint64_t> number(std::string_view text) {
  if (text.empty()) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (!http::is_digit(c)) return std::nullopt;
    const auto digit = static_cast<uint64_t>(c - '0');
    value = value > (kMax - digit) / 10 ? kMax : value * 10 + digit;
  }
  return value;
}

enum class Spec : uint8_t { kBad, kOutside, kInside };

// The last `bytes` bytes.
Spec resolve_suffix(uint64_t bytes, uint64_t size, ByteRange& range) {
  if (bytes == 0 || size == 0) return Spec::kOutside;
  range = {size - std::min(bytes, size), size - 1};
  return Spec::kInside;
}

Spec resolve(std::string_view spec, uint64_t size, ByteRange& range) {
  const size_t dash = spec.find('-');
  if (dash == std::string_view::npos) return Spec::kBad;
  const std::optional<uint64_t> first = number(spec.substr(0, dash));
  const std::optional<uint64_t> last = number(spec.substr(dash + 1));
  if (dash == 0) return last ? resolve_suffix(*last, size, range) : Spec::kBad;
  if (!first || (!last && dash + 1 != spec.size())) return Spec::kBad;
  if (last && *last < *first) return Spec::kBad;
  if (*first >= size) return Spec::kOutside;
  range = {*first, std::min(last.value_or(kMax), size - 1)};
  return Spec::kInside;
}

}  // namespace

Ranges Ranges::parse(std::string_view value, uint64_t size) {
  static constexpr std::string_view kUnit = "bytes=";
  if (!http::equals_ignoring_case(value.substr(0, kUnit.size()), kUnit)) return {};
  value.remove_prefix(kUnit.size());
  Ranges ranges;
  bool any = false;
  while (!value.empty()) {
    const std::string_view spec = http::next_element(value);
    if (spec.empty()) continue;  // empty list elements are allowed, RFC 9110 section 5.6.1.2
    ByteRange range;
    const Spec resolved = resolve(spec, size, range);
    if (resolved == Spec::kBad) return {};
    any = true;
    if (resolved == Spec::kOutside) continue;
    if (ranges.count_ == kPartsMax) return {};
    ranges.parts_[ranges.count_++] = range;
  }
  if (!any) return {};
  ranges.kind_ = ranges.count_ == 0 ? Kind::kUnsatisfiable : Kind::kSatisfiable;
  ranges.coalesce();
  return ranges;
}

// Parts that do not overlap keep the client's order, which may matter to it
// (section 15.3.7.2); overlapping ones are sorted and joined.
void Ranges::coalesce() {
  std::array<ByteRange, kPartsMax> sorted = parts_;
  std::sort(sorted.begin(), sorted.begin() + count_,
            [](const ByteRange& a, const ByteRange& b) { return a.first < b.first; });
  size_t joined = 0;
  for (size_t i = 1; i < count_; ++i) {
    if (sorted[i].first <= sorted[joined].last) {
      sorted[joined].last = std::max(sorted[joined].last, sorted[i].last);
    } else {
      sorted[++joined] = sorted[i];
    }
  }
  if (count_ == 0 || joined + 1 == count_) return;
  parts_ = sorted;
  count_ = joined + 1;
}

}  // namespace terrace::web

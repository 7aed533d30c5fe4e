#include "app/bake.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

namespace terrace::app {
namespace {

constexpr size_t kBounds = Histogram::kBoundsMicroseconds.size();

// `some` of `all`.
struct Share {
  uint64_t some = 0;
  uint64_t all = 0;

  double value() const { return all == 0 ? 0 : static_cast<double>(some) / static_cast<double>(all); }
};

// An attempt that failed may have been made again elsewhere: it counts all the same.
Share bad_share(const BakeFigures& figures) {
  return {std::min(figures.errors + figures.failures, figures.requests), figures.requests};
}

uint64_t answers(const BakeFigures& figures) {
  return std::accumulate(figures.durations.begin(), figures.durations.end(), uint64_t{0});
}

// By how many standard deviations the second share is larger, were they the same
// but for chance (https://en.wikipedia.org/wiki/Two-proportion_Z-test).
double deviations(const Share& first, const Share& second) {
  const double pooled =
      static_cast<double>(first.some + second.some) / static_cast<double>(first.all + second.all);
  const double spread = std::sqrt(pooled * (1 - pooled) *
                                  (1 / static_cast<double>(first.all) + 1 / static_cast<double>(second.all)));
  return spread > 0 ? (second.value() - first.value()) / spread : 0;
}

// The bucket in which the 99th percentile lies.
size_t percentile_bucket(const BakeFigures& figures) {
  const uint64_t below = answers(figures) * 99 / 100;
  uint64_t seen = 0;
  for (size_t i = 0; i < kBounds; ++i) {
    seen += figures.durations[i];
    if (seen > below) return i;
  }
  return kBounds;
}

Share above(const BakeFigures& figures, size_t bound) {
  return {std::accumulate(figures.durations.begin() + static_cast<std::ptrdiff_t>(bound) + 1,
                          figures.durations.end(), uint64_t{0}),
          answers(figures)};
}

// T of the header; none when the old one's percentile is too slow to be doubled.
std::optional<size_t> slow_bound(const BakeFigures& before) {
  const size_t bucket = percentile_bucket(before);
  if (bucket == kBounds) return std::nullopt;
  const int64_t least =
      std::max(2 * Histogram::kBoundsMicroseconds[bucket],
               std::chrono::duration_cast<std::chrono::microseconds>(kBakeSlowAtLeast).count());
  for (size_t i = 0; i < kBounds; ++i) {
    if (Histogram::kBoundsMicroseconds[i] >= least) return i;
  }
  return std::nullopt;
}

std::string milliseconds_text(size_t bound) {
  return fmt::format("{:g} ms", static_cast<double>(Histogram::kBoundsMicroseconds[bound]) / 1000);
}

std::string percentile_text(const BakeFigures& figures) {
  if (answers(figures) < kBakeAnswersMin) return "";
  const size_t bucket = percentile_bucket(figures);
  return bucket == kBounds ? ", p99 above " + milliseconds_text(kBounds - 1)
                           : ", p99 at most " + milliseconds_text(bucket);
}

std::string share_text(const Share& share) {
  return fmt::format("{:.1f} % ({} of {} requests)", 100 * share.value(), share.some, share.all);
}

std::string figures_text(const BakeFigures& figures) {
  if (figures.requests == 0) return "no requests";
  return share_text(bad_share(figures)) + " bad" + percentile_text(figures);
}

bool too_many_bad(const BakeSample& sample, const Share& before, const Share& after) {
  if (before.all < kBakeRequestsMin) return after.value() >= kBakeBadAlone;
  const uint64_t bad_min = sample.over ? kBakeBadMin : kBakeDisasterMin;
  const double rise_min = sample.over ? kBakeBadRise : kBakeDisasterRise;
  return after.some >= bad_min && after.value() - before.value() >= rise_min &&
         deviations(before, after) > kBakeDeviations;
}

// The bound above which too many answers are.
std::optional<size_t> too_slow(const BakeSample& sample) {
  const bool enough = answers(sample.before) >= kBakeAnswersMin && answers(sample.warm) >= kBakeAnswersMin;
  const std::optional<size_t> bound = enough ? slow_bound(sample.before) : std::nullopt;
  if (!bound || percentile_bucket(sample.warm) <= *bound) return std::nullopt;
  const Share before = above(sample.before, *bound);
  const Share after = above(sample.warm, *bound);
  if (after.some < kBakeSlowMin || deviations(before, after) <= kBakeDeviations) return std::nullopt;
  return bound;
}

}  // namespace

BakeFigures& BakeFigures::operator+=(const BakeFigures& more) {
  requests += more.requests;
  errors += more.errors;
  failures += more.failures;
  for (size_t i = 0; i < durations.size(); ++i) durations[i] += more.durations[i];
  return *this;
}

BakeFigures grown(const BakeFigures& before, const BakeFigures& now) {
  if (now.requests < before.requests) return now;
  const auto growth = [](uint64_t then, uint64_t later) { return later > then ? later - then : 0; };
  BakeFigures figures{.requests = growth(before.requests, now.requests),
                      .errors = growth(before.errors, now.errors),
                      .failures = growth(before.failures, now.failures)};
  for (size_t i = 0; i < figures.durations.size(); ++i)
    figures.durations[i] = growth(before.durations[i], now.durations[i]);
  return figures;
}

BakeVerdict compare(const BakeSample& sample) {
  const Share before = bad_share(sample.before);
  const Share after = bad_share(sample.after);
  if (after.all < kBakeRequestsMin) {
    return {.worse = false, .reason = fmt::format("{} requests are too few to compare", after.all)};
  }
  if (too_many_bad(sample, before, after)) {
    const std::string then = before.all == 0 ? "no requests before" : "before: " + share_text(before);
    return {.worse = true,
            .reason = fmt::format("5xx and broken answers are {}; {}", share_text(after), then)};
  }
  const std::optional<size_t> bound = sample.over ? too_slow(sample) : std::nullopt;
  if (bound) {
    return {
        .worse = true,
        .reason = fmt::format("more than one answer of a hundred takes over {} ({:.1f} % of {}); before: at "
                              "most {}",
                              milliseconds_text(*bound), 100 * above(sample.warm, *bound).value(),
                              answers(sample.warm), milliseconds_text(percentile_bucket(sample.before)))};
  }
  return {.worse = false,
          .reason = fmt::format("{}; before: {}", figures_text(sample.after), figures_text(sample.before))};
}

}  // namespace terrace::app

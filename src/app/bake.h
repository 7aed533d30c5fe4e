#pragma once

// Whether a new release is worse than the one before, from what both answered.
//
// Two things are looked at, and noise shall roll nothing back:
//
// Bad answers: 5xx of the app, and requests that it did not answer or answered
// brokenly. The new release is worse when their share rose by 2 percentage points or
// more, with at least 5 of them, and when that is more than 3 standard deviations of
// chance (two-proportion z-test, pooled). Before the bake's end only a disaster
// counts, as a database that is away for two seconds must not end a bake that has
// lasted for ten: then the rise has to be 20 points, with at least 20 bad ones.
// Against an old release that had fewer than 20 requests only one thing counts: that
// at least half of the answers are bad.
//
// Time: the 99th percentile of whole answers, at the end only, and without the first
// seconds in which a new process is slow. Durations are known as buckets (Histogram), so
// the rule is made of their bounds: with T the first bound that is at least 250 ms and
// at least twice the upper bound of the old percentile's bucket, the new release
// is worse when its percentile lies above T, with at least 20 answers above T and more
// of them than 3 standard deviations. A rise that stays under 250 ms, or that is less
// than double, is never found worse. Both need 100 answers.
//
// With fewer than 20 requests to the new release nothing is said: it stays.

#include <array>
#include <cstdint>
#include <string>

#include "base/metrics.h"

namespace terrace::app {

constexpr uint64_t kBakeRequestsMin = 20;
constexpr uint64_t kBakeAnswersMin = 100;  // for the percentile
constexpr uint64_t kBakeBadMin = 5;
constexpr uint64_t kBakeDisasterMin = 20;
constexpr uint64_t kBakeSlowMin = 20;
constexpr double kBakeBadRise = 0.02;
constexpr double kBakeDisasterRise = 0.20;
constexpr double kBakeBadAlone = 0.50;  // when there is nothing to compare with
constexpr double kBakeDeviations = 3;
constexpr Duration kBakeSlowAtLeast = std::chrono::milliseconds(250);
constexpr Duration kBakeWarmUp = std::chrono::seconds(5);

// What the instances of one release answered.
struct BakeFigures {
  uint64_t requests = 0;                                  // sent to them
  uint64_t errors = 0;                                    // answered with 5xx
  uint64_t failures = 0;                                  // no answer, or a broken one
  std::array<uint64_t, Histogram::kBuckets> durations{};  // of whole answers

  BakeFigures& operator+=(const BakeFigures& more);
};

// What was added to counters that only grow, but begin anew with a new worker: one that
// is smaller than before has counted all that it shows since.
BakeFigures grown(const BakeFigures& before, const BakeFigures& now);

struct BakeSample {
  BakeFigures before;  // of the old release
  BakeFigures after;   // of the new one, since the switch
  BakeFigures warm;    // … since kBakeWarmUp after the switch
  bool over = false;   // the bake has lasted for its time
};

struct BakeVerdict {
  bool worse = false;
  std::string reason;  // for a person, also when it stays: the figures
};

BakeVerdict compare(const BakeSample& sample);

}  // namespace terrace::app

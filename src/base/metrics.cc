#include "base/metrics.h"

namespace terrace {

void Histogram::observe(Duration duration) {
  const int64_t nanoseconds = duration.count() < 0 ? 0 : duration.count();
  size_t i = 0;
  while (i < kBoundsMicroseconds.size() && nanoseconds > kBoundsMicroseconds[i] * 1000) ++i;
  buckets_[i].add();
  sum_nanoseconds_.add(static_cast<uint64_t>(nanoseconds));
}

}  // namespace terrace

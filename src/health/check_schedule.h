#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "health/rise_fall.h"

namespace terrace::health {

// How often something is checked. Somebody who is silent is found within
// `interval` times `fall` where `timeout` and `interval_in_doubt` together are not longer
// than the interval; every() sees to that.
struct CheckPlan {
  Duration interval = std::chrono::seconds(2);
  Duration interval_in_doubt = std::chrono::milliseconds(250);
  Duration timeout = std::chrono::seconds(1);  // of one check
  RiseFall::Thresholds thresholds;

  static CheckPlan every(Duration interval, RiseFall::Thresholds thresholds);
};

// When the next check of one backend is due, and what its checks say. An ordinary pause is
// up to a tenth shorter than the interval, at random, so that the checks of many backends
// by many load balancers do not fall together. No clock, no I/O.
class CheckSchedule {
 public:
  // Due at once.
  CheckSchedule(const CheckPlan& plan, Random& random, Time now);

  // From the next check on, which is not later than the new interval says.
  void set_plan(const CheckPlan& plan);
  Time next() const { return next_; }
  // A check ended. True when health() or doubt() changed.
  bool checked(bool success, Time now);
  // A request failed there: checks are more frequent until `fall` of them were good.
  void suspect(Time now);

  Health health() const { return rise_fall_.state(); }
  // It counts as healthy, but its last check failed.
  bool doubt() const { return health() != Health::kUnhealthy && failed_; }

 private:
  Duration pause();

  CheckPlan plan_;
  Random& random_;
  RiseFall rise_fall_;
  Time next_;
  Time last_;
  bool failed_ = false;  // the last one
  int suspected_ = 0;    // good checks until it is trusted again
};

}  // namespace terrace::health

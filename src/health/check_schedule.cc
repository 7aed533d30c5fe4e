#include "health/check_schedule.h"

#include <algorithm>

namespace terrace::health {

CheckPlan CheckPlan::every(Duration interval, RiseFall::Thresholds thresholds) {
  return {.interval = interval,
          .interval_in_doubt = interval / 8,
          .timeout = interval / 2,
          .thresholds = thresholds};
}

CheckSchedule::CheckSchedule(const CheckPlan& plan, Random& random, Time now)
    : plan_(plan), random_(random), rise_fall_(Health::kUnknown, plan.thresholds), next_(now), last_(now) {}

void CheckSchedule::set_plan(const CheckPlan& plan) {
  plan_ = plan;
  rise_fall_.set_thresholds(plan.thresholds);
  next_ = std::min(next_, last_ + plan.interval);
}

bool CheckSchedule::checked(bool success, Time now) {
  const bool doubted = doubt();
  const bool changed = rise_fall_.probed(success);
  failed_ = !success;
  suspected_ = success ? std::max(0, suspected_ - 1) : suspected_;
  last_ = now;
  next_ = now + pause();
  return changed || doubt() != doubted;
}

void CheckSchedule::suspect(Time now) {
  suspected_ = plan_.thresholds.fall;
  next_ = std::min(next_, std::max(now, last_ + plan_.interval_in_doubt));
}

// The last result against the state: soon more is known.
Duration CheckSchedule::pause() {
  const bool against = failed_ != (health() == Health::kUnhealthy);
  if (against || suspected_ > 0) return plan_.interval_in_doubt;
  constexpr uint64_t kTenth = 10;
  const auto shorter = static_cast<uint64_t>(plan_.interval.count()) / kTenth;
  return plan_.interval - Duration(random_.below(shorter + 1));
}

}  // namespace terrace::health

#include "health/rise_fall.h"

namespace terrace::health {

bool RiseFall::probed(bool success) {
  const Health seen = success ? Health::kHealthy : Health::kUnhealthy;
  if (seen == state_) {
    row_ = 0;
    return false;
  }
  ++row_;
  const bool at_once = state_ == Health::kUnknown && success;
  if (!at_once && row_ < (success ? thresholds_.rise : thresholds_.fall)) return false;
  state_ = seen;
  row_ = 0;
  return true;
}

}  // namespace terrace::health

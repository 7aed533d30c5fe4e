#pragma once

#include <cstdint>

namespace terrace::health {

enum class Health : uint8_t { kUnknown, kHealthy, kUnhealthy };

// Turns single probes into a state that does not flap: so many successes in a row
// make healthy, so many failures in a row unhealthy (HAProxy's rise and fall). The
// first success of something unknown counts at once, so that nothing waits longer
// than it must at its start. No clock, no I/O.
class RiseFall {
 public:
  struct Thresholds {
    int rise = 2;
    int fall = 3;
  };

  RiseFall() = default;
  explicit RiseFall(Health state) : state_(state) {}
  RiseFall(Health state, Thresholds thresholds) : thresholds_(thresholds), state_(state) {}

  void set_thresholds(Thresholds thresholds) { thresholds_ = thresholds; }
  // True when the state changed.
  bool probed(bool success);
  Health state() const { return state_; }

 private:
  Thresholds thresholds_;
  Health state_ = Health::kUnknown;
  int row_ = 0;  // equal results in a row that speak against the state
};

}  // namespace terrace::health

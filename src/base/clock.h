#pragma once

#include <chrono>
#include <cstdint>

namespace terrace {

// Monotonic time: deadlines, durations. Never shown to a person.
using Time = std::chrono::steady_clock::time_point;
using Duration = std::chrono::nanoseconds;
// Wall-clock time: HTTP dates, logs.
using WallTime = std::chrono::system_clock::time_point;

// The clocks as an interface, so that tests decide what time it is.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() const = 0;
  virtual WallTime wall() const = 0;
};

// The kernel's clocks.
class SystemClock final : public Clock {
 public:
  Time now() const override;
  WallTime wall() const override;
};

// A clock that only a test moves.
class VirtualClock final : public Clock {
 public:
  Time now() const override { return now_; }
  WallTime wall() const override { return wall_; }
  void advance(Duration by) {
    now_ += by;
    wall_ += std::chrono::duration_cast<WallTime::duration>(by);
  }

 private:
  Time now_{std::chrono::hours(1)};
  WallTime wall_{std::chrono::seconds(1'700'000'000)};
};

}  // namespace terrace

#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"

namespace terrace {

class Timers;

// One deadline. Intrusive: arming allocates nothing. The owner derives from it
// or holds it; destroying an armed timer disarms it.
class Timer {
 public:
  virtual ~Timer();
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool armed() const { return timers_ != nullptr; }
  void disarm();

 protected:
  // Called once, at or up to one tick after the deadline; the timer is disarmed.
  virtual void expired() = 0;

 private:
  friend class Timers;
  Timer* next_ = nullptr;
  Timer** previous_ = nullptr;  // the pointer that points here
  Timers* timers_ = nullptr;
  uint64_t due_ = 0;   // tick at which it expires
  uint64_t slot_ = 0;  // tick for which it is filed; never after due_
};

// Hierarchical timing wheel (Varghese and Lauck 1987, scheme 7): arming,
// disarming and moving are O(1). Ticks are kTick long; deadlines are never early
// and at most one tick late. Moving a deadline further out only stores it: the
// timer is filed anew when its old slot comes up, because most deadlines are
// moved many times before they would ever expire.
class Timers {
 public:
  static constexpr Duration kTick = std::chrono::milliseconds(4);
  // Deadlines further away than this are brought in to it: 64^4 ticks, 18 hours.
  static constexpr uint64_t kTicksMax = (uint64_t{1} << 24) - 1;

  explicit Timers(Time start) : start_(start) {}

  void arm(Timer& timer, Time due);
  // Expires all that is due at `now`.
  void advance(Time now);
  // How long until advance() has work, at most `limit`; zero when it has some now.
  Duration until_next(Time now, Duration limit) const;

 private:
  friend class Timer;
  static constexpr int kLevels = 4;
  static constexpr int kBits = 6;
  static constexpr uint64_t kSlots = 1 << kBits;

  void file(Timer& timer, uint64_t tick);
  void cascade(int level);
  void run_slot();
  uint64_t tick_of(Time time) const;

  Time start_;
  uint64_t tick_ = 0;  // the last tick that was run
  uint64_t armed_ = 0;
  std::array<std::array<Timer*, kSlots>, kLevels> wheel_{};
  Timer* running_ = nullptr;  // the slot that is being run
};

}  // namespace terrace

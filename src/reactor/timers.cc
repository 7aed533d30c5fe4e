#include "reactor/timers.h"

#include <algorithm>

#include "base/assert.h"

namespace terrace {

Timer::~Timer() { disarm(); }

void Timer::disarm() {
  if (timers_ == nullptr) return;
  *previous_ = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  next_ = nullptr;
  previous_ = nullptr;
  --timers_->armed_;
  timers_ = nullptr;
}

uint64_t Timers::tick_of(Time time) const {
  if (time <= start_) return 0;
  return static_cast<uint64_t>((time - start_ + kTick - Duration(1)) / kTick);
}

void Timers::arm(Timer& timer, Time due) {
  const uint64_t tick = std::clamp(tick_of(due), tick_ + 1, tick_ + kTicksMax);
  if (timer.timers_ == this && timer.slot_ <= tick) {
    timer.due_ = tick;  // filed early enough: it will be filed anew then
    return;
  }
  timer.disarm();
  timer.due_ = tick;
  file(timer, tick);
}

void Timers::file(Timer& timer, uint64_t tick) {
  const uint64_t distance = tick - tick_;
  int level = 0;
  while (level < kLevels - 1 && distance >= (uint64_t{1} << (kBits * (level + 1)))) ++level;
  Timer** head = &wheel_[static_cast<size_t>(level)][(tick >> (kBits * level)) & (kSlots - 1)];
  timer.slot_ = tick;
  timer.next_ = *head;
  timer.previous_ = head;
  if (*head != nullptr) (*head)->previous_ = &timer.next_;
  *head = &timer;
  timer.timers_ = this;
  ++armed_;
}

// Files the timers of one slot of an upper level anew, one level down or less.
void Timers::cascade(int level) {
  Timer* head = wheel_[static_cast<size_t>(level)][(tick_ >> (kBits * level)) & (kSlots - 1)];
  while (head != nullptr) {
    Timer* next = head->next_;
    const uint64_t tick = std::max(head->due_, tick_);
    head->disarm();
    file(*head, tick);
    head = next;
  }
}

void Timers::run_slot() {
  Timer*& slot = wheel_[0][tick_ & (kSlots - 1)];
  running_ = slot;
  slot = nullptr;
  if (running_ != nullptr) running_->previous_ = &running_;
  // expired() may arm and disarm any timer, also those still waiting here.
  while (running_ != nullptr) {
    Timer& timer = *running_;
    const uint64_t due = timer.due_;
    timer.disarm();
    if (due > tick_) {
      file(timer, std::min(due, tick_ + kTicksMax));
    } else {
      timer.expired();
    }
  }
}

void Timers::advance(Time now) {
  const uint64_t target = now <= start_ ? 0 : static_cast<uint64_t>((now - start_) / kTick);
  while (tick_ < target) {
    if (armed_ == 0) {
      tick_ = target;
      return;
    }
    ++tick_;
    for (int level = kLevels - 1; level > 0; --level) {
      const uint64_t below = (uint64_t{1} << (kBits * level)) - 1;
      if ((tick_ & below) == 0) cascade(level);
    }
    run_slot();
  }
}

Duration Timers::until_next(Time now, Duration limit) const {
  if (armed_ == 0) return limit;
  // The nearest filled slot of the lowest level, or the next cascade.
  const uint64_t turn = kSlots - (tick_ & (kSlots - 1));
  uint64_t ticks = 1;
  while (ticks < turn && wheel_[0][(tick_ + ticks) & (kSlots - 1)] == nullptr) ++ticks;
  const Duration until = start_ + kTick * static_cast<int64_t>(tick_ + ticks) - now;
  return std::clamp(until, Duration(0), limit);
}

}  // namespace terrace

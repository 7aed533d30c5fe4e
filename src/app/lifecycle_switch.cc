// The lifecycle's switch-over of all slots at once, its bake, and the hold.

#include <algorithm>
#include <utility>

#include "app/lifecycle.h"

namespace terrace::app {

using Kind = Action::Kind;

bool Lifecycle::switch_over(const LifecyclePlan& plan, Time now) {
  if (stopped_ || held_ || switching() || !adopted_.empty()) return false;
  keep(now);
  if (rolling()) {
    fail_roll(0, 0);
    for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
      Slot& place = slots_[slot];
      if (place.candidate) retire(slot, *std::exchange(place.candidate, std::nullopt), now);
    }
  }
  next_plan_ = plan;
  if (slots_.size() < plan.instances) slots_.resize(plan.instances);
  for (uint32_t slot = 0; slot < plan.instances; ++slot) slots_[slot].candidate = start(slot, plan, now);
  switch_when_ready(now);
  return true;
}

// The proxy knows it as starting and is told nothing else. Of the last one nobody is told
// anything before kSwitched: an action tells the phase that a member has when it is
// carried out, and by then that one is up.
void Lifecycle::candidate_is_ready(uint32_t slot, Time now) {
  Member& member = *slots_[slot].candidate;
  member.phase = MemberPhase::kReady;
  const uint32_t generation = member.generation;
  switch_when_ready(now);
  if (switching()) act(Kind::kNote, slot, generation);
}

void Lifecycle::switch_when_ready(Time now) {
  const bool ready = std::ranges::all_of(slots_, [](const Slot& place) {
    return !place.candidate || place.candidate->phase == MemberPhase::kReady;
  });
  if (ready) make_switch(now);
}

// First the new ones are told of, then the old ones leave the turn: at no moment is
// there none.
void Lifecycle::make_switch(Time now) {
  old_plan_ = std::exchange(plan_, *std::exchange(next_plan_, std::nullopt));
  was_rolling_ = false;
  act(Kind::kSwitched, 0, 0);
  std::vector<std::optional<Member>> before(slots_.size());
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    Slot& place = slots_[slot];
    before[slot] = std::exchange(place.current, std::exchange(place.candidate, std::nullopt));
    place.retry.reset();
    place.ends = 0;
    place.crash_loop = false;
    place.roll = false;
    if (!place.current) continue;
    place.current->phase = MemberPhase::kUp;
    act(Kind::kPublish, slot, place.current->generation);
  }
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    if (before[slot]) stand_by(slot, *before[slot], now);
  }
}

// One that never was healthy has no use on standby.
void Lifecycle::stand_by(uint32_t slot, Member member, Time now) {
  if (member.phase == MemberPhase::kStarting) return retire(slot, member, now);
  member.well = member.phase == MemberPhase::kUp;
  member.phase = MemberPhase::kDraining;
  member.deadline = now + kDrainMax;
  member.replace = false;
  slots_[slot].standby = member;
  act(Kind::kPublish, slot, member.generation);
}

void Lifecycle::fail_switch(uint32_t slot, uint32_t generation, Time now) {
  act(Kind::kSwitchFailed, slot, generation);
  next_plan_.reset();
  for (uint32_t each = 0; each < slots_.size(); ++each) {
    Slot& place = slots_[each];
    if (place.candidate) retire(each, *std::exchange(place.candidate, std::nullopt), now);
  }
}

void Lifecycle::cancel_switch(Time now) {
  if (!switching()) return;
  fail_switch(0, 0, now);
  continue_roll(now);
}

void Lifecycle::keep(Time now) {
  if (!baking()) return;
  old_plan_.reset();
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) leave_standby(slot, now);
}

// Its requests are finished already, unless it drains still.
void Lifecycle::leave_standby(uint32_t slot, Time now) {
  Slot& place = slots_[slot];
  if (!place.standby) return;
  place.retiring.push_back(*std::exchange(place.standby, std::nullopt));
  Member& member = place.retiring.back();
  if (member.phase == MemberPhase::kStandby) terminate(slot, member, now);
}

void Lifecycle::go_back(Time now) {
  if (!baking()) return;
  if (rolling()) fail_roll(0, 0);
  plan_ = *std::exchange(old_plan_, std::nullopt);
  act(Kind::kWentBack, 0, 0);
  std::vector<std::optional<Member>> before(slots_.size());
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    Slot& place = slots_[slot];
    before[slot] = std::exchange(place.current, std::nullopt);
    place.retry.reset();
    place.ends = 0;
    place.crash_loop = false;
    if (!place.standby || !place.standby->well) continue;
    place.current = std::exchange(place.standby, std::nullopt);
    place.current->phase = MemberPhase::kUp;
    act(Kind::kPublish, slot, place.current->generation);
  }
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    Slot& place = slots_[slot];
    if (place.candidate) retire(slot, *std::exchange(place.candidate, std::nullopt), now);
    if (before[slot]) retire(slot, *before[slot], now);
    leave_standby(slot, now);
    if (!place.current && slot < plan_.instances) start_current(slot, now);
  }
}

// Requests that do not end within the limit go on: nothing ends one on standby.
void Lifecycle::tick_standby(uint32_t slot, Time now) {
  std::optional<Member>& member = slots_[slot].standby;
  if (!member || member->phase != MemberPhase::kDraining || member->deadline > now) return;
  member->phase = MemberPhase::kStandby;
  act(Kind::kPublish, slot, member->generation);
}

// ---- hold

void Lifecycle::hold(Time now) {
  if (held_) return;
  cancel_switch(now);
  keep(now);
  if (rolling()) fail_roll(0, 0);
  held_ = true;
  held_said_ = false;
  releasing_ = false;
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) empty_slot(slot, now);
  say_held();
}

void Lifecycle::release(Time now) {
  if (!held_) return;
  held_ = false;
  releasing_ = true;
  if (slots_.size() < plan_.instances) slots_.resize(plan_.instances);
  for (uint32_t slot = 0; slot < plan_.instances; ++slot) {
    slots_[slot].ends = 0;
    slots_[slot].crash_loop = false;
    if (!slots_[slot].current) start_current(slot, now);
  }
  say_released();
}

void Lifecycle::say_held() {
  const bool empty = adopted_.empty() && std::ranges::all_of(slots_, [](const Slot& place) {
                       return !place.current && !place.candidate && !place.standby && place.retiring.empty();
                     });
  if (!held_ || held_said_ || !empty) return;
  held_said_ = true;
  act(Kind::kHeld, 0, 0);
}

void Lifecycle::say_released() {
  const bool up = std::ranges::all_of(
      slots_.begin(), slots_.begin() + plan_.instances,
      [](const Slot& place) { return place.current && place.current->phase == MemberPhase::kUp; });
  if (!releasing_ || !up) return;
  releasing_ = false;
  act(Kind::kReleased, 0, 0);
}

}  // namespace terrace::app

#include "app/lifecycle.h"

#include <algorithm>
#include <utility>

namespace terrace::app {
namespace {

using Kind = Action::Kind;

Duration restart_delay(uint32_t ends) {
  const uint32_t doublings = std::min<uint32_t>(ends - 1, 16);
  return std::min(kRestartDelayFirst * (1 << doublings), kRestartDelayMax);
}

bool is_leaving(const Member& member) {
  return member.phase == MemberPhase::kDraining || member.phase == MemberPhase::kStopping;
}

bool is_healthy(const Member& member) {
  return member.phase == MemberPhase::kUp || member.phase == MemberPhase::kReady ||
         member.phase == MemberPhase::kStandby;
}

bool take_out(std::optional<Member>& place, uint32_t generation, Member& taken) {
  if (!place || place->generation != generation) return false;
  taken = *place;
  place.reset();
  return true;
}

}  // namespace

const Member* Lifecycle::find(uint32_t slot, uint32_t generation) const {
  if (slot >= slots_.size()) return nullptr;
  const Slot& place = slots_[slot];
  if (place.current && place.current->generation == generation) return &*place.current;
  if (place.candidate && place.candidate->generation == generation) return &*place.candidate;
  if (place.standby && place.standby->generation == generation) return &*place.standby;
  for (const Member& member : place.retiring) {
    if (member.generation == generation) return &member;
  }
  for (const Adopted& each : adopted_) {
    if (each.member.generation == generation) return &each.member;
  }
  return nullptr;
}

Member* Lifecycle::member_of(uint32_t slot, uint32_t generation) {
  return const_cast<Member*>(find(slot, generation));
}

bool Lifecycle::rolling() const {
  return std::ranges::any_of(slots_, [this](const Slot& place) {
    return place.roll || (place.candidate.has_value() && !switching());
  });
}

// ---- what is wanted

void Lifecycle::configure(const LifecyclePlan& plan, Time now) {
  plan_ = plan;
  settle_adopted(now);
  if (slots_.size() < plan.instances) slots_.resize(plan.instances);
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    Slot& place = slots_[slot];
    // A candidate of a recipe that nobody wants any more.
    if (!switching() && place.candidate && (place.candidate->recipe != plan.recipe || !place.current))
      retire(slot, *std::exchange(place.candidate, std::nullopt), now);
    if (slot >= plan.instances || held_) {
      empty_slot(slot, now);
    } else if (!place.current) {
      start_current(slot, now);
    } else if (place.current->recipe != plan.recipe) {
      place.roll = true;
    }
  }
  continue_roll(now);
  say_held();
}

// Candidates of a switch-over and members on standby are of other plans.
void Lifecycle::empty_slot(uint32_t slot, Time now) {
  Slot& place = slots_[slot];
  place.retry.reset();
  place.roll = false;
  if (place.candidate && !switching()) retire(slot, *std::exchange(place.candidate, std::nullopt), now);
  if (place.current) retire(slot, *std::exchange(place.current, std::nullopt), now);
}

void Lifecycle::roll(Time now) {
  for (uint32_t slot = 0; slot < plan_.instances; ++slot) want_roll(slot);
  continue_roll(now);
}

void Lifecycle::want_roll(uint32_t slot) {
  Slot& place = slots_[slot];
  place.roll = true;
  if (!place.current || place.current->replace) return;
  place.current->replace = true;
  act(Kind::kNote, slot, place.current->generation);
}

void Lifecycle::forget_roll(uint32_t slot) {
  Slot& place = slots_[slot];
  place.roll = false;
  if (place.current && std::exchange(place.current->replace, false))
    act(Kind::kNote, slot, place.current->generation);
}

void Lifecycle::stop() {
  stopped_ = true;
  for (Slot& place : slots_) {
    place.retry.reset();
    place.roll = false;
  }
}

// ---- steps

Member Lifecycle::start(uint32_t slot, const LifecyclePlan& plan, Time now) {
  const Member member{.generation = next_generation_++,
                      .recipe = plan.recipe,
                      .phase = MemberPhase::kStarting,
                      .started = now,
                      .deadline = now + plan.start_timeout};
  act(Kind::kStart, slot, member.generation);
  act(Kind::kPublish, slot, member.generation);
  return member;
}

void Lifecycle::start_current(uint32_t slot, Time now) {
  Slot& place = slots_[slot];
  place.retry.reset();
  if (stopped_ || held_) return;
  place.roll = false;
  place.current = start(slot, plan_, now);
}

// Up or unwell members finish their requests first; one that never was healthy has none.
void Lifecycle::retire(uint32_t slot, Member member, Time now) {
  const bool has_served = member.phase == MemberPhase::kUp || member.phase == MemberPhase::kUnwell;
  member.phase = MemberPhase::kDraining;
  member.deadline = now + kDrainMax;
  slots_[slot].retiring.push_back(member);
  if (has_served) {
    act(Kind::kPublish, slot, member.generation);
  } else {
    terminate(slot, slots_[slot].retiring.back(), now);
  }
}

void Lifecycle::terminate(uint32_t slot, Member& member, Time now) {
  member.phase = MemberPhase::kStopping;
  member.deadline = now + plan_.grace;
  act(Kind::kWithdraw, slot, member.generation);
  act(Kind::kTerminate, slot, member.generation);
}

void Lifecycle::candidate_is_healthy(uint32_t slot, Time now) {
  Slot& place = slots_[slot];
  const Member fresh = *std::exchange(place.candidate, std::nullopt);
  const std::optional<Member> old = std::exchange(place.current, fresh);
  place.roll = false;
  if (old) retire(slot, *old, now);
}

// One slot at a time: the next begins when the last one's old member is gone.
void Lifecycle::continue_roll(Time now) {
  const bool busy = std::ranges::any_of(slots_, [this](const Slot& place) {
    const bool starts_anew = was_rolling_ && place.current && place.current->phase == MemberPhase::kStarting;
    return place.candidate || starts_anew || (!place.roll && !place.retiring.empty());
  });
  if (stopped_ || held_ || busy) return;
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    Slot& place = slots_[slot];
    if (!place.roll) continue;
    was_rolling_ = true;
    if (place.current) {
      place.candidate = start(slot, plan_, now);
      return;
    }
    // Nothing to keep: it was waiting for its restart.
    start_current(slot, now);
    return;
  }
  if (std::exchange(was_rolling_, false)) act(Kind::kRolled, 0, 0);
}

void Lifecycle::fail_roll(uint32_t slot, uint32_t generation) {
  for (uint32_t each = 0; each < slots_.size(); ++each) forget_roll(each);
  was_rolling_ = false;
  act(Kind::kRollFailed, slot, generation);
}

// ---- what happened

void Lifecycle::healthy(uint32_t slot, uint32_t generation, Time now) {
  Member* member = member_of(slot, generation);
  if (member == nullptr) return;
  member->well = true;
  if (is_leaving(*member) || is_healthy(*member)) return;
  const Slot& place = slots_[slot];
  const bool is_candidate = place.candidate && member == &*place.candidate;
  if (is_candidate && switching()) return candidate_is_ready(slot, now);
  member->phase = MemberPhase::kUp;
  act(Kind::kPublish, slot, generation);
  if (is_candidate) candidate_is_healthy(slot, now);
  continue_roll(now);
  say_released();
}

void Lifecycle::unhealthy(uint32_t slot, uint32_t generation, Time now) {
  Member* member = member_of(slot, generation);
  if (member == nullptr) return;
  member->well = false;
  if (member->phase == MemberPhase::kReady) {
    member->phase = MemberPhase::kStarting;
    // An adopted one may be of a plan that nobody knows any more.
    member->deadline = member->started + (next_plan_ ? *next_plan_ : plan_).start_timeout;
  } else if (member->phase == MemberPhase::kUp) {
    member->phase = MemberPhase::kUnwell;
    member->deadline = now + plan_.start_timeout;
  } else {
    return;
  }
  act(Kind::kPublish, slot, generation);
}

void Lifecycle::drained(uint32_t slot, uint32_t generation, Time now) {
  Member* member = member_of(slot, generation);
  if (member == nullptr || member->phase != MemberPhase::kDraining) return;
  if (slots_[slot].standby && member == &*slots_[slot].standby) {
    member->phase = MemberPhase::kStandby;
    act(Kind::kPublish, slot, generation);
  } else {
    terminate(slot, *member, now);
  }
}

void Lifecycle::ended(uint32_t slot, uint32_t generation, Time now) {
  std::erase_if(adopted_, [&](const Adopted& each) { return each.member.generation == generation; });
  if (find(slot, generation) == nullptr) return;
  Slot& place = slots_[slot];
  Member gone;
  act(Kind::kWithdraw, slot, generation);
  if (switching() && take_out(place.candidate, generation, gone)) {
    fail_switch(slot, generation, now);
  } else if (take_out(place.candidate, generation, gone)) {
    note_end(slot, place, now);
    fail_roll(slot, generation);
  } else if (take_out(place.current, generation, gone)) {
    current_ended(slot, gone, now);
  } else if (!take_out(place.standby, generation, gone)) {
    std::erase_if(place.retiring, [&](const Member& member) { return member.generation == generation; });
  }
  continue_roll(now);
  say_held();
}

void Lifecycle::current_ended(uint32_t slot, const Member& member, Time now) {
  Slot& place = slots_[slot];
  if (now - member.started >= kStableLife) place.ends = 0;
  note_end(slot, place, now);
  if (stopped_ || slot >= plan_.instances) return;
  ++place.restarts;
  if (was_rolling_ && member.phase == MemberPhase::kStarting) fail_roll(slot, member.generation);
  // The candidate of a roll takes the place at once.
  if (place.candidate && !switching()) {
    place.current = std::exchange(place.candidate, std::nullopt);
    place.roll = false;
    return;
  }
  place.retry = now + restart_delay(place.ends);
}

void Lifecycle::note_end(uint32_t slot, Slot& place, Time now) {
  ++place.ends;
  place.recent.push_back(now);
  while (now - place.recent.front() >= kStableLife || place.recent.size() > kCrashLoopEnds)
    place.recent.pop_front();
  if (place.recent.size() < kCrashLoopEnds || place.crash_loop) return;
  place.crash_loop = true;
  act(Kind::kCrashLoop, slot, 0);
}

void Lifecycle::forgive(Slot& place, Time now) {
  if (!place.current || now - place.current->started < kStableLife) return;
  if (place.current->phase != MemberPhase::kUp) return;
  place.ends = 0;
  place.crash_loop = false;
}

void Lifecycle::tick(Time now) {
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) tick_slot(slot, now);
  continue_roll(now);
}

void Lifecycle::tick_slot(uint32_t slot, Time now) {
  Slot& place = slots_[slot];
  forgive(place, now);
  for (Member& member : place.retiring) {
    if (member.deadline > now) continue;
    if (member.phase == MemberPhase::kDraining) {
      terminate(slot, member, now);
    } else {
      act(Kind::kKill, slot, member.generation);
      member.deadline = now + std::max(plan_.grace, kKillAgain);
    }
  }
  tick_standby(slot, now);
  tick_candidate(slot, now);
  if (place.current && place.current->phase != MemberPhase::kUp && place.current->deadline <= now) {
    const Member member = *std::exchange(place.current, std::nullopt);
    const bool never = member.phase == MemberPhase::kStarting;
    act(never ? Kind::kTimedOut : Kind::kUnhealthy, slot, member.generation);
    current_ended(slot, member, now);
    place.retiring.push_back(member);
    terminate(slot, place.retiring.back(), now);
  }
  if (place.retry && *place.retry <= now) start_current(slot, now);
}

void Lifecycle::tick_candidate(uint32_t slot, Time now) {
  Slot& place = slots_[slot];
  if (!place.candidate || is_healthy(*place.candidate) || place.candidate->deadline > now) return;
  const uint32_t generation = place.candidate->generation;
  act(Kind::kTimedOut, slot, generation);
  if (switching()) return fail_switch(slot, generation, now);
  retire(slot, *std::exchange(place.candidate, std::nullopt), now);
  fail_roll(slot, generation);
}

std::optional<Time> Lifecycle::next() const {
  std::optional<Time> next;
  const auto consider = [&](Time time) {
    if (!next || time < *next) next = time;
  };
  for (const Slot& place : slots_) {
    if (place.retry) consider(*place.retry);
    if (place.candidate && !is_healthy(*place.candidate)) consider(place.candidate->deadline);
    if (place.standby && is_leaving(*place.standby)) consider(place.standby->deadline);
    for (const Member& member : place.retiring) consider(member.deadline);
    if (!place.current) continue;
    if (place.current->phase != MemberPhase::kUp) {
      consider(place.current->deadline);
    } else if (place.ends > 0) {
      consider(place.current->started + kStableLife);
    }
  }
  return next;
}

}  // namespace terrace::app

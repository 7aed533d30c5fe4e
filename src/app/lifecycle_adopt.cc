// What a successor makes of the members that run already.

#include <algorithm>
#include <utility>

#include "app/lifecycle.h"

namespace terrace::app {
namespace {

using Kind = Action::Kind;

bool has_been_healthy(const Member& member) {
  return member.phase == MemberPhase::kUp || member.phase == MemberPhase::kReady ||
         member.phase == MemberPhase::kStandby;
}

// Which of one slot's members of the wanted recipe (or of another one) has the best
// claim to be current; the newest among equals.
int claim(const Member& member, bool wanted) {
  switch (member.phase) {
    case MemberPhase::kUp:
      return wanted ? 8 : 4;
    case MemberPhase::kReady:
    case MemberPhase::kStandby:
      return wanted ? 7 : 0;
    case MemberPhase::kUnwell:
      return wanted ? 6 : 3;
    // It stood by, or was on its way there, when the predecessor went back.
    case MemberPhase::kDraining:
      return wanted ? 5 : 0;
    case MemberPhase::kStarting:
      return wanted ? 2 : 0;
    case MemberPhase::kStopping:
      return 0;
  }
  return 0;
}

}  // namespace

void Lifecycle::adopt(uint32_t slot, const Member& member, Time) {
  next_generation_ = std::max(next_generation_, member.generation + 1);
  if (slot >= slots_.size()) slots_.resize(slot + 1);
  adopted_.push_back({slot, member});
}

void Lifecycle::settle_adopted(Time now) {
  std::vector<std::vector<Member>> by_slot(slots_.size());
  for (const Adopted& each : std::exchange(adopted_, {})) by_slot[each.slot].push_back(each.member);
  for (uint32_t slot = 0; slot < by_slot.size(); ++slot) settle_slot(slot, std::move(by_slot[slot]), now);
}

void Lifecycle::settle_slot(uint32_t slot, std::vector<Member> members, Time now) {
  Slot& place = slots_[slot];
  const auto claim_of = [this](const Member& member) {
    return std::pair(claim(member, member.recipe == plan_.recipe), member.generation);
  };
  std::ranges::sort(members, std::ranges::greater{}, claim_of);
  for (Member& member : members) {
    const bool claims = claim_of(member).first > 0;
    if (!place.current && claims) {
      take_place(slot, member, now);
    } else if (!place.candidate && claims && member.phase == MemberPhase::kStarting) {
      // A roll was under way.
      member.deadline = now + plan_.start_timeout;
      place.candidate = member;
      place.roll = was_rolling_ = true;
      act(Kind::kPublish, slot, member.generation);
    } else if (member.phase == MemberPhase::kStopping || member.phase == MemberPhase::kStandby) {
      place.retiring.push_back(member);
      terminate(slot, place.retiring.back(), now);
    } else if (member.phase == MemberPhase::kDraining) {
      member.deadline = now + kDrainMax;
      place.retiring.push_back(member);
      act(Kind::kPublish, slot, member.generation);
    } else {
      retire(slot, member, now);
    }
  }
}

void Lifecycle::take_place(uint32_t slot, Member member, Time now) {
  if (has_been_healthy(member) || member.phase == MemberPhase::kDraining) member.phase = MemberPhase::kUp;
  if (member.phase != MemberPhase::kUp) member.deadline = now + plan_.start_timeout;
  slots_[slot].current = member;
  slots_[slot].roll = member.replace;
  act(Kind::kPublish, slot, member.generation);
}

}  // namespace terrace::app

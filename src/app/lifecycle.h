#pragma once

// The life of the app's instances, as decisions only: no I/O, no clock of its own.
//
// A slot is a place for one instance ("app-1"). The one that serves is its current
// member; a rolling restart starts a candidate beside it, and when that is healthy
// the two change places and the old one retires: it drains (no new request), gets
// SIGTERM, and SIGKILL after the grace. One slot rolls at a time, so the site never
// has fewer healthy instances than before.
//
// A switch-over replaces all of them at once, for a deploy: a candidate starts in
// every slot of the new plan, beside the current members, and gets no request. When
// all are ready they become current in one step. The members before drain and then
// stand by: alive, probed, without requests, not started again when they end. Until
// keep() or go_back() both plans are known: a member is always started with the plan
// that it belongs to. When a candidate ends or is not healthy in time all candidates
// are stopped, and nothing else has changed.
//
// hold() stops all members, each when its requests are finished, until release().
//
// A member that ends by itself is started again after a delay that grows from 0.1 s
// to 30 s and is forgotten after a stable minute. Five ends within a minute are a
// crash loop; it is over when an instance has lived for a minute.
//
// The owner tells what happened, with the time, and carries out the actions that it
// takes afterwards, in their order. One thread.

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace terrace::app {

// What the site file wants.
struct LifecyclePlan {
  uint32_t instances = 0;
  // Stands for everything that an instance is started with. A member of another
  // recipe is replaced.
  uint64_t recipe = 0;
  Duration start_timeout = std::chrono::seconds(60);  // until healthy
  Duration grace = std::chrono::seconds(30);          // between SIGTERM and SIGKILL
};

constexpr Duration kDrainMax = std::chrono::seconds(30);
// SIGKILL is not sent more often than this, whatever the grace.
constexpr Duration kKillAgain = std::chrono::seconds(1);
constexpr Duration kRestartDelayFirst = std::chrono::milliseconds(100);
constexpr Duration kRestartDelayMax = std::chrono::seconds(30);
constexpr Duration kStableLife = std::chrono::minutes(1);
constexpr size_t kCrashLoopEnds = 5;  // within kStableLife

enum class MemberPhase : uint8_t {
  kStarting,  // not healthy yet
  kUp,
  kUnwell,    // was healthy; gets no request until it is again
  kDraining,  // finishes its requests
  kStopping,  // got SIGTERM
  kReady,     // healthy candidate of a switch-over; gets no request yet
  kStandby,   // served before the switch-over, could again; gets no request
};

struct Member {
  uint32_t generation = 0;  // grows over all slots; never used twice
  uint64_t recipe = 0;
  MemberPhase phase = MemberPhase::kStarting;
  Time started;
  Time deadline;         // of the phase; kUp, kReady and kStandby have none
  bool replace = false;  // a roll shall replace it; a successor has to know
  bool well = true;      // of one on standby, or on its way there
};

struct Action {
  enum class Kind : uint8_t {
    kStart,      // start this instance
    kPublish,    // tell the proxy its phase, and note it for a successor
    kNote,       // note it for a successor; nothing to tell the proxy
    kWithdraw,   // tell the proxy to forget it
    kTerminate,  // SIGTERM; note it for a successor
    kKill,       // SIGKILL
    // Only to be said:
    kTimedOut,   // not healthy within start_timeout
    kUnhealthy,  // failed its checks for start_timeout; it is replaced
    kCrashLoop,  // recognised now
    kRolled,     // every slot has the wanted recipe
    // This candidate ended or was not healthy in time (generation 0: something
    // else was begun); the old members stay.
    kRollFailed,
    // The switch-over. kSwitched comes when all candidates are ready, before the
    // first kPublish of it: note durably that the new recipe is the current one, then
    // tell the worker its site; the actions behind it publish first the new members
    // as up, then the old ones as draining. A successor that adopts in between
    // goes on in the direction that was noted. kWentBack likewise.
    kSwitched,
    kSwitchFailed,  // this candidate ended or was not healthy in time
    kWentBack,
    kHeld,      // after hold(): no member is left
    kReleased,  // after release(): every slot is up
  };
  Kind kind;
  uint32_t slot = 0;
  uint32_t generation = 0;
};

class Lifecycle {
 public:
  struct Slot {
    std::optional<Member> current;
    std::optional<Member> candidate;
    std::optional<Member> standby;  // draining or kStandby
    std::vector<Member> retiring;
    std::optional<Time> retry;  // of the next start, when the last one ended by itself
    uint32_t ends = 0;          // in a row, without a stable minute: the delay
    std::deque<Time> recent;    // ends within the last stable minute, at most kCrashLoopEnds
    uint32_t restarts = 0;      // for people: starts after an end
    bool crash_loop = false;
    bool roll = false;  // its current member shall be replaced
  };

  // A member that runs already, said before the first configure(): a controller was
  // replaced. Its phase is what the predecessor noted. The first configure() decides:
  // members of the plan's recipe go on (one that was ready or stood by serves), a
  // roll to it goes on, and members of another recipe in the same slot leave. A
  // switch-over that was not noted as done is thus undone, and a bake is over.
  void adopt(uint32_t slot, const Member& member, Time now);

  // More slots start, fewer retire, another recipe rolls.
  void configure(const LifecyclePlan& plan, Time now);
  // Replaces every member, one slot at a time.
  void roll(Time now);
  // Starts nothing any more.
  void stop();

  // False, and nothing happens, while another switch-over is starting, when the
  // members are held, and after stop(). A roll that is under way has failed; a
  // bake that is under way is over: keep(). A plan without instances
  // switches at once.
  [[nodiscard]] bool switch_over(const LifecyclePlan& plan, Time now);
  // Gives a switch-over up whose candidates are still starting: kSwitchFailed, with
  // generation 0.
  void cancel_switch(Time now);
  // Ends the bake: those on standby leave. Without a bake nothing happens.
  void keep(Time now);
  // Ends the bake the other way: kWentBack; members on standby that are well are
  // current again, other slots start one of the old recipe, the new ones drain and
  // leave. Without a bake nothing happens.
  void go_back(Time now);
  // Candidates of a switch-over are starting.
  bool switching() const { return next_plan_.has_value(); }
  // Switched, and neither keep() nor go_back() yet.
  bool baking() const { return old_plan_.has_value(); }
  // Instances and recipe of the current members.
  const LifecyclePlan& plan() const { return plan_; }

  // Stops every member, after its requests; a switch-over has failed then, a bake is
  // kept. Also before the first configure(), which then starts nothing.
  void hold(Time now);
  void release(Time now);
  bool held() const { return held_; }

  void healthy(uint32_t slot, uint32_t generation, Time now);
  void unhealthy(uint32_t slot, uint32_t generation, Time now);
  // No request is in flight any more at a draining member.
  void drained(uint32_t slot, uint32_t generation, Time now);
  // It ended, for whatever reason.
  void ended(uint32_t slot, uint32_t generation, Time now);
  // Call at next() at the latest.
  void tick(Time now);
  std::optional<Time> next() const;

  // What is to be done now, in order; empties the list.
  std::vector<Action> take_actions() { return std::exchange(actions_, {}); }

  const std::vector<Slot>& slots() const { return slots_; }
  const Member* find(uint32_t slot, uint32_t generation) const;
  bool rolling() const;

 private:
  void act(Action::Kind kind, uint32_t slot, uint32_t generation) {
    actions_.push_back({kind, slot, generation});
  }
  struct Adopted {
    uint32_t slot;
    Member member;
  };

  // lifecycle_adopt.cc
  void settle_adopted(Time now);
  void settle_slot(uint32_t slot, std::vector<Member> members, Time now);
  void take_place(uint32_t slot, Member member, Time now);

  Member start(uint32_t slot, const LifecyclePlan& plan, Time now);
  void start_current(uint32_t slot, Time now);
  void retire(uint32_t slot, Member member, Time now);
  void terminate(uint32_t slot, Member& member, Time now);
  void candidate_is_healthy(uint32_t slot, Time now);
  void current_ended(uint32_t slot, const Member& member, Time now);
  void note_end(uint32_t slot, Slot& place, Time now);
  void fail_roll(uint32_t slot, uint32_t generation);
  void want_roll(uint32_t slot);
  void forget_roll(uint32_t slot);
  void continue_roll(Time now);
  void tick_slot(uint32_t slot, Time now);
  void tick_candidate(uint32_t slot, Time now);
  void forgive(Slot& place, Time now);
  Member* member_of(uint32_t slot, uint32_t generation);
  void empty_slot(uint32_t slot, Time now);

  // lifecycle_switch.cc
  void candidate_is_ready(uint32_t slot, Time now);
  void switch_when_ready(Time now);
  void make_switch(Time now);
  void fail_switch(uint32_t slot, uint32_t generation, Time now);
  void stand_by(uint32_t slot, Member member, Time now);
  void leave_standby(uint32_t slot, Time now);
  void tick_standby(uint32_t slot, Time now);
  void say_held();
  void say_released();

  LifecyclePlan plan_;
  std::optional<LifecyclePlan> next_plan_;  // of the candidates of a switch-over
  std::optional<LifecyclePlan> old_plan_;   // of those on standby
  std::vector<Adopted> adopted_;            // until the first configure()
  std::vector<Slot> slots_;
  std::vector<Action> actions_;
  uint32_t next_generation_ = 1;
  bool stopped_ = false;
  bool was_rolling_ = false;
  bool held_ = false;
  bool held_said_ = false;
  bool releasing_ = false;
};

}  // namespace terrace::app

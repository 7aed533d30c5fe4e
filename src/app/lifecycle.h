#pragma once

// The life of the app's instances, as decisions only: no I/O, no clock of its own.
//
// A slot is a place for one instance ("app-1"). The one that serves is its current
// member; a rolling restart starts a candidate beside it, and when that is healthy
// the two change places and the old one retires: it drains (no new request), gets
// SIGTERM, and SIGKILL after the grace. One slot rolls at a time, so the site never
// has fewer healthy instances than before.
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
};

struct Member {
  uint32_t generation = 0;  // grows over all slots; never used twice
  uint64_t recipe = 0;
  MemberPhase phase = MemberPhase::kStarting;
  Time started;
  Time deadline;  // of the phase; kUp has none
};

struct Action {
  enum class Kind : uint8_t {
    kStart,      // start this instance
    kPublish,    // tell the proxy that it is starting, up, unwell or draining
    kWithdraw,   // tell the proxy to forget it
    kTerminate,  // SIGTERM
    kKill,       // SIGKILL
    // Only to be said:
    kTimedOut,    // not healthy within start_timeout
    kUnhealthy,   // failed its checks for start_timeout; it is replaced
    kCrashLoop,   // recognised now
    kRolled,      // every slot has the wanted recipe
    kRollFailed,  // the candidate did not become healthy; the old members stay
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
    std::vector<Member> retiring;
    std::optional<Time> retry;  // of the next start, when the last one ended by itself
    uint32_t ends = 0;          // in a row, without a stable minute: the delay
    std::deque<Time> recent;    // ends within the last stable minute, at most kCrashLoopEnds
    uint32_t restarts = 0;      // for people: starts after an end
    bool crash_loop = false;
    bool roll = false;  // its current member shall be replaced
  };

  // A member that runs already, said before the first configure(): a controller was
  // replaced. Its phase is what the predecessor noted.
  void adopt(uint32_t slot, const Member& member, Time now);

  // More slots start, fewer retire, another recipe rolls.
  void configure(const LifecyclePlan& plan, Time now);
  // Replaces every member, one slot at a time.
  void roll(Time now);
  // Starts nothing any more.
  void stop();

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
  Member start(uint32_t slot, Time now);
  void start_current(uint32_t slot, Time now);
  void retire(uint32_t slot, Member member, Time now);
  void terminate(uint32_t slot, Member& member, Time now);
  void candidate_is_healthy(uint32_t slot, Time now);
  void current_ended(uint32_t slot, const Member& member, Time now);
  void note_end(uint32_t slot, Slot& place, Time now);
  void fail_roll(uint32_t slot);
  void continue_roll(Time now);
  void tick_slot(uint32_t slot, Time now);
  void forgive(Slot& place, Time now);
  Member* member_of(uint32_t slot, uint32_t generation);

  LifecyclePlan plan_;
  std::vector<Slot> slots_;
  std::vector<Action> actions_;
  uint32_t next_generation_ = 1;
  bool stopped_ = false;
  bool was_rolling_ = false;
};

}  // namespace terrace::app

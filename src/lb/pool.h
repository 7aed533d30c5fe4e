#pragma once

// What is decided of the backends of one pool, for all cores at once: who is up, in
// doubt, down, ejected, drained, how much each shall get, and who stands by. Decisions
// only: no I/O, no clock of its own. The owner tells what happened, with the time,
// publishes each standing that changed to the cores, and shows the same to people.
//
// Always, whatever happens:
// - never more than the plan's share of the backends is ejected;
// - an ejection never takes the last one away, and ends early when the rest are gone;
// - active-passive: one backend serves, and the others stand by.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "health/rise_fall.h"
#include "lb/backend_set.h"

namespace terrace::lb {

enum class Mode : uint8_t { kActiveActive, kActivePassive };

enum class State : uint8_t {
  kUp,
  kInDoubt,    // gets requests; the last check failed, or there was none yet
  kSlowStart,  // was away; its share grows
  kEjected,    // what the cores saw of it was too bad
  kDraining,   // finishes its requests, gets no new ones
  kDown,       // failed its checks, or joined later and is not checked yet
};
std::string_view name_of(State state);
// It may be sent requests, if its weight says so and it does not stand by.
bool is_well(State state);

struct BackendPlan {
  std::string name;
  uint32_t weight = 1;  // up to kWeightMax; zero gets no request
};

struct PoolPlan {
  std::vector<BackendPlan> backends;  // at most kBackendsMax, of different names
  Mode mode = Mode::kActiveActive;
  // Active-passive: the first in the list serves again as soon as it can. Else whoever
  // serves stays until it fails.
  bool returns = true;
  Duration slow_start = std::chrono::seconds(10);   // from nothing to its full share
  double ejected_max = 0.5;                         // share of the backends
  Duration ejection = std::chrono::seconds(10);     // the first; each next is twice as long,
  Duration ejection_max = std::chrono::minutes(5);  // up to this, and forgotten after it
};

// What is known of one backend. `since` is when its state became what it is.
struct Standing {
  std::string name;
  State state = State::kInDoubt;
  std::string reason;
  Time since;
  uint32_t weight = 1;
  bool standby = false;
  std::optional<Time> rising_since;  // in its slow start
  bool silent = false;               // down, and its checks got no sign of life
};

class Pool {
 public:
  // Those that stay, by their name, keep what is known of them. The first time all get
  // requests at once, in doubt until their first check: something has to begin. One that
  // is new later waits for its first good check, and starts slowly.
  void configure(PoolPlan plan, Time now);
  const PoolPlan& plan() const { return plan_; }

  std::optional<size_t> find(std::string_view name) const;
  // What active checks say. `doubt`: it is not down, but the last check failed.
  void checked(size_t backend, health::Health health, bool doubt, std::string_view reason, Time now,
               bool silent = false);
  // A core saw enough. False, and nothing changes, when it may not be ejected.
  bool eject(size_t backend, std::string_view reason, Time now);
  void drain(size_t backend, bool drained, std::string_view reason, Time now);
  // Call at next() at the latest.
  void tick(Time now);
  std::optional<Time> next() const;

  const std::vector<Standing>& standings() const { return standings_; }
  // Whose standing changed since the last call; after configure() all.
  BackendSet take_changed() { return std::exchange(changed_, {}); }

 private:
  struct Backend {
    health::Health health = health::Health::kUnknown;
    bool doubt = true;
    bool drained = false;
    bool slow = false;  // when it comes, it starts slowly
    bool silent = false;
    std::string health_reason;
    std::string drain_reason;
    std::string ejection_reason;
    std::optional<Time> ejected_until;
    Time returned;               // from its last ejection
    uint32_t ejections = 0;      // in a row
    std::optional<Time> rising;  // since
  };

  static bool is_down(const Backend& backend);
  bool may_serve(size_t backend) const;
  size_t ejected_allowed() const;
  size_t count_ejected() const;
  void end_excess(Time now);
  void end_ejection(Backend& backend, Time now);
  void recall_ejected(Time now);
  void choose_active();
  void begin_and_end_rises(Time now);
  State state_of(const Backend& backend) const;
  void settle(Time now);
  void publish(size_t backend, Time now);

  PoolPlan plan_;
  std::vector<Backend> backends_;
  std::vector<Standing> standings_;
  std::optional<size_t> active_;  // active-passive
  BackendSet changed_;
  bool configured_ = false;
};

}  // namespace terrace::lb

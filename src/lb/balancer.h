#pragma once

// One pool of backends as one core has it: chooses for each request, counts what is in
// flight, lets a backend rest that has just failed, raises its share in the slow start,
// and notes what it sees. No sockets, no clock: whoever holds the connections asks here
// and tells how it went.

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "lb/balance.h"
#include "lb/passive.h"
#include "lb/pool.h"

namespace terrace::lb {

struct BalancerOptions {
  Algorithm algorithm = Algorithm::kRoundRobin;
  Duration slow_start = std::chrono::seconds(10);
  uint32_t in_flight_max = 256;  // requests per backend, of this core
  size_t first = 0;              // this core's number
  PassiveOptions passive;
};

class Balancer {
 public:
  // A backend that broke a connection rests this long.
  static constexpr Duration kRest = std::chrono::milliseconds(500);

  // `random` outlives it.
  Balancer(const BalancerOptions& options, Random& random);

  void set_options(const BalancerOptions& options);
  // What the pool says now, in its order; at most kBackendsMax. Backends are known by their
  // name: one that stays keeps its requests in flight and what was seen of it.
  void update(std::span<const Standing> standings, Time now);
  // Call about ten times a second.
  void tick(Time now);

  // Who has a request. Of no use any more once the backend has left the pool, which
  // finish() knows: positions are given anew.
  struct Place {
    size_t position = 0;
    uint32_t generation = 0;
  };
  // The next backend for a request that was tried with some already; it is in flight until
  // finish(). None: somebody may have room later (wait), or nobody is there.
  std::optional<Place> take(const Key& key, BackendSet tried, Time now);

  // The same for one backend, such as the one that a cookie names: also one of weight zero,
  // which keeps those whom it has; never one that stands by, rests or is full.
  std::optional<Place> take_this(std::string_view name, BackendSet tried, Time now);

  struct Outcome {
    enum class Kind : uint8_t {
      kAnswered,  // the head of a response came, and nothing was wrong behind it
      kRefused,   // no connection could be made; nothing was sent
      kBroken,    // no answer, or not a whole one, or not HTTP
      // Not the backend's doing: the client left, or a connection that was idle had just been
      // closed when it was to be used again.
      kGivenUp,
    };
    Kind kind = Kind::kAnswered;
    int status = 0;
    Duration latency{0};  // from the request to the head of the response
  };
  void finish(const Place& place, const Outcome& outcome, Time now);

  // Whether any backend gets requests at all; if not, waiting only helps when one comes up.
  bool any_serves() const { return !serving_.empty(); }
  // Whether there is anybody whom a request that was tried with these could still be tried with.
  bool any_untried(BackendSet tried) const { return !(serving_ | standby_).without(tried).empty(); }
  // Whether take() may succeed for somebody who was tried with none.
  bool has_room() const { return !(serving_ | standby_).without(full_ | refused_).empty(); }
  std::optional<size_t> find(std::string_view name) const;
  const std::string& name(size_t position) const { return members_[position].name; }
  uint32_t in_flight(size_t position) const { return loads_[position].in_flight; }
  // Draining, and no request of this core left.
  BackendSet drained() const;

  // For the pool and the checks. Those that failed since the last call: worth a check now.
  BackendSet take_suspects() { return std::exchange(suspects_, {}); }
  // Those that should be ejected, and why.
  BackendSet take_verdicts() { return passive_.take_verdicts(); }
  Verdict verdict(size_t position) const { return passive_.verdict(position); }

 private:
  struct Member {
    std::string name;
    uint32_t generation = 0;
    uint32_t weight = 0;
    State state = State::kDown;
    bool standby = false;
    std::optional<Time> rising_since;
    Time rests_until;
  };

  size_t place_for(const Standing& standing);
  void set_standing(size_t position, const Standing& standing, Time now);
  uint32_t weight_now(const Member& member, Time now) const;
  void wake_rested(Time now);
  Place put(size_t position);
  std::optional<size_t> choose(const Key& key, BackendSet tried, Time now);
  std::optional<size_t> first_standby(BackendSet open) const;
  void rest(size_t position, bool refused, Time now);

  BalancerOptions options_;
  Random& random_;
  std::unique_ptr<Policy> policy_;
  Passive passive_;
  std::array<Member, kBackendsMax> members_{};
  std::array<Load, kBackendsMax> loads_{};
  std::array<size_t, kBackendsMax> order_{};  // positions in the pool's order
  size_t count_ = 0;                          // of order_
  size_t positions_ = 0;                      // one more than the highest that is taken
  uint32_t generation_ = 0;
  BackendSet known_;    // positions that are taken
  BackendSet serving_;  // get requests
  BackendSet standby_;  // would, if those that serve fail
  BackendSet full_;
  BackendSet resting_;
  BackendSet refused_;  // rest, and are not even tried
  BackendSet rising_;
  BackendSet suspects_;
};

}  // namespace terrace::lb

#include "lb/pool.h"

#include <algorithm>

#include "base/assert.h"

namespace terrace::lb {

using health::Health;

std::string_view name_of(State state) {
  switch (state) {
    case State::kUp:
      return "up";
    case State::kInDoubt:
      return "in doubt";
    case State::kSlowStart:
      return "slow start";
    case State::kEjected:
      return "ejected";
    case State::kDraining:
      return "draining";
    case State::kDown:
      return "down";
  }
  return "";
}

bool is_well(State state) {
  switch (state) {
    case State::kUp:
    case State::kInDoubt:
    case State::kSlowStart:
      return true;
    case State::kEjected:
    case State::kDraining:
    case State::kDown:
      return false;
  }
  return false;
}

std::optional<size_t> Pool::find(std::string_view name) const {
  const auto found = std::ranges::find(standings_, name, &Standing::name);
  if (found == standings_.end()) return std::nullopt;
  return static_cast<size_t>(found - standings_.begin());
}

void Pool::configure(PoolPlan plan, Time now) {
  ASSERT(plan.backends.size() <= kBackendsMax);
  std::vector<Backend> backends;
  std::vector<Standing> standings;
  std::optional<size_t> active;
  for (const BackendPlan& one : plan.backends) {
    const std::optional<size_t> known = find(one.name);
    if (known && known == active_) active = backends.size();
    backends.push_back(known ? std::move(backends_[*known])
                             : Backend{.slow = configured_, .health_reason = "not checked yet"});
    standings.push_back(known ? standings_[*known] : Standing{.name = one.name, .since = now});
  }
  plan_ = std::move(plan);
  backends_ = std::move(backends);
  standings_ = std::move(standings);
  active_ = active;
  configured_ = true;
  end_excess(now);
  settle(now);
  changed_ = BackendSet::first(backends_.size());
}

void Pool::checked(size_t backend, Health health, bool doubt, std::string_view reason, Time now,
                   bool silent) {
  Backend& one = backends_[backend];
  if (health == Health::kUnhealthy) one.slow = true;
  one.health = health;
  one.doubt = doubt || health == Health::kUnknown;
  one.health_reason = reason;
  one.silent = silent;
  settle(now);
}

bool Pool::eject(size_t backend, std::string_view reason, Time now) {
  Backend& one = backends_[backend];
  if (!may_serve(backend) || count_ejected() >= ejected_allowed()) return false;
  bool another = false;
  for (size_t i = 0; i < backends_.size(); ++i) another |= i != backend && may_serve(i);
  if (!another) return false;
  if (now - one.returned > plan_.ejection_max) one.ejections = 0;
  Duration away = plan_.ejection;
  for (uint32_t i = 0; i < one.ejections && away < plan_.ejection_max; ++i) away *= 2;
  ++one.ejections;
  one.ejected_until = now + std::min(away, plan_.ejection_max);
  one.ejection_reason = reason;
  one.slow = true;
  settle(now);
  return true;
}

void Pool::drain(size_t backend, bool drained, std::string_view reason, Time now) {
  Backend& one = backends_[backend];
  if (drained) one.slow = true;
  one.drained = drained;
  one.drain_reason = reason;
  settle(now);
}

void Pool::tick(Time now) {
  for (Backend& one : backends_) {
    if (one.ejected_until && now >= *one.ejected_until) end_ejection(one, now);
  }
  settle(now);
}

std::optional<Time> Pool::next() const {
  std::optional<Time> next;
  const auto at = [&next](Time time) { next = next ? std::min(*next, time) : time; };
  for (const Backend& one : backends_) {
    if (one.ejected_until) at(*one.ejected_until);
    if (one.rising) at(*one.rising + plan_.slow_start);
  }
  return next;
}

bool Pool::is_down(const Backend& backend) {
  return backend.health == Health::kUnhealthy || (backend.slow && backend.health == Health::kUnknown);
}

bool Pool::may_serve(size_t backend) const {
  const Backend& one = backends_[backend];
  return !is_down(one) && !one.drained && !one.ejected_until && plan_.backends[backend].weight > 0;
}

size_t Pool::ejected_allowed() const {
  return static_cast<size_t>(plan_.ejected_max * static_cast<double>(backends_.size()));
}

size_t Pool::count_ejected() const {
  return static_cast<size_t>(
      std::ranges::count_if(backends_, [](const Backend& one) { return one.ejected_until.has_value(); }));
}

// Fewer backends than before, or another share.
void Pool::end_excess(Time now) {
  for (Backend& one : backends_) {
    if (one.ejected_until && count_ejected() > ejected_allowed()) end_ejection(one, now);
  }
}

void Pool::end_ejection(Backend& backend, Time now) {
  backend.ejected_until.reset();
  backend.returned = now;
}

// Those that were only ejected are better than nobody.
void Pool::recall_ejected(Time now) {
  for (size_t i = 0; i < backends_.size(); ++i) {
    if (may_serve(i)) return;
  }
  for (Backend& one : backends_) {
    if (one.ejected_until) end_ejection(one, now);
  }
}

void Pool::choose_active() {
  if (active_ && !plan_.returns && may_serve(*active_)) return;
  for (size_t i = 0; i < backends_.size(); ++i) {
    if (!may_serve(i)) continue;
    active_ = i;
    return;
  }
  // Whoever served last is the one that is missed.
}

void Pool::begin_and_end_rises(Time now) {
  for (size_t i = 0; i < backends_.size(); ++i) {
    Backend& one = backends_[i];
    if (!may_serve(i)) {
      one.rising.reset();
      continue;
    }
    if (one.slow && one.health == Health::kHealthy) {
      one.slow = false;
      one.rising = now;
    }
    if (one.rising && now - *one.rising >= plan_.slow_start) one.rising.reset();
  }
}

State Pool::state_of(const Backend& backend) const {
  if (backend.drained) return State::kDraining;
  if (is_down(backend)) return State::kDown;
  if (backend.ejected_until) return State::kEjected;
  if (backend.doubt) return State::kInDoubt;
  return backend.rising ? State::kSlowStart : State::kUp;
}

void Pool::settle(Time now) {
  recall_ejected(now);
  choose_active();
  begin_and_end_rises(now);
  for (size_t i = 0; i < backends_.size(); ++i) publish(i, now);
}

void Pool::publish(size_t backend, Time now) {
  const Backend& one = backends_[backend];
  const State state = state_of(one);
  std::string reason;
  if (state == State::kDraining) reason = one.drain_reason;
  if (state == State::kDown || state == State::kInDoubt) reason = one.health_reason;
  if (state == State::kEjected) reason = one.ejection_reason;
  Standing& standing = standings_[backend];
  const bool standby = plan_.mode == Mode::kActivePassive && backend != active_;
  const uint32_t weight = plan_.backends[backend].weight;
  if (standing.state == state && standing.reason == reason && standing.standby == standby &&
      standing.weight == weight && standing.rising_since == one.rising &&
      standing.silent == (state == State::kDown && one.silent))
    return;
  if (standing.state != state) standing.since = now;
  standing.state = state;
  standing.reason = std::move(reason);
  standing.standby = standby;
  standing.weight = weight;
  standing.rising_since = one.rising;
  standing.silent = state == State::kDown && one.silent;
  changed_.add(backend);
}

}  // namespace terrace::lb

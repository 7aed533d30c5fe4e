#include "lb/balancer.h"

#include <algorithm>

#include "base/assert.h"
#include "base/hash.h"

namespace terrace::lb {
namespace {

// The same on every load balancer of every site, so that all send a key to the same place.
constexpr uint64_t kNameKey = 0x7465727261636521;

}  // namespace

Balancer::Balancer(const BalancerOptions& options, Random& random) : random_(random) { set_options(options); }

void Balancer::set_options(const BalancerOptions& options) {
  const bool same = policy_ != nullptr && options.algorithm == options_.algorithm;
  options_ = options;
  if (!same) policy_ = make_policy(options.algorithm, options.first, random_);
  // That algorithm gives a slow backend less by itself.
  if (options.algorithm == Algorithm::kLeastLatency) options_.passive.latency_factor = 0;
  passive_.set_options(options_.passive);
  for (size_t i : known_) full_.set(i, loads_[i].in_flight >= options_.in_flight_max);
}

std::optional<size_t> Balancer::find(std::string_view name) const {
  for (size_t i : known_) {
    if (members_[i].name == name) return i;
  }
  return std::nullopt;
}

void Balancer::update(std::span<const Standing> standings, Time now) {
  ASSERT(standings.size() <= kBackendsMax);
  BackendSet gone = known_;
  for (const Standing& one : standings) {
    if (const std::optional<size_t> known = find(one.name)) gone.remove(*known);
  }
  for (BackendSet* set : {&known_, &serving_, &standby_, &full_, &resting_, &refused_, &rising_, &suspects_})
    *set = set->without(gone);
  count_ = 0;
  for (const Standing& one : standings) {
    const size_t position = place_for(one);
    order_[count_++] = position;
    set_standing(position, one, now);
  }
  positions_ = 0;
  for (size_t i : known_) positions_ = i + 1;
}

size_t Balancer::place_for(const Standing& standing) {
  if (const std::optional<size_t> known = find(standing.name)) return *known;
  const size_t free = BackendSet::first(kBackendsMax).without(known_).front();
  known_.add(free);
  members_[free] = {.name = standing.name, .generation = ++generation_};
  loads_[free] = {.id = hash64(standing.name, kNameKey), .weight = 0, .in_flight = 0};
  passive_.forget(free);
  policy_->forget(free);
  return free;
}

void Balancer::set_standing(size_t position, const Standing& standing, Time now) {
  Member& member = members_[position];
  const bool gets = is_well(standing.state) && standing.weight > 0;
  if (standing.state == State::kEjected || standing.state == State::kDown) passive_.forget(position);
  if (gets && !serving_.contains(position) && !standby_.contains(position)) {
    resting_.remove(position);
    refused_.remove(position);
  }
  member.state = standing.state;
  member.standby = standing.standby;
  member.weight = standing.weight;
  member.rising_since = standing.rising_since;
  loads_[position].weight = weight_now(member, now);
  serving_.set(position, gets && !standing.standby);
  standby_.set(position, gets && standing.standby);
  rising_.set(position, member.rising_since.has_value());
}

uint32_t Balancer::weight_now(const Member& member, Time now) const {
  const uint32_t full = member.weight * kWeightUnit;
  if (full == 0 || !member.rising_since) return full;
  const Duration age = now - *member.rising_since;
  if (age >= options_.slow_start) return full;
  const double risen = static_cast<double>(age.count()) / static_cast<double>(options_.slow_start.count());
  return std::max(1U, static_cast<uint32_t>(risen * full));
}

void Balancer::tick(Time now) {
  for (size_t i : rising_) loads_[i].weight = weight_now(members_[i], now);
  wake_rested(now);
  passive_.tick(now);
}

void Balancer::wake_rested(Time now) {
  for (size_t i : resting_) {
    if (now < members_[i].rests_until) continue;
    resting_.remove(i);
    refused_.remove(i);
  }
}

std::optional<Balancer::Place> Balancer::take(const Key& key, BackendSet tried, Time now) {
  const std::optional<size_t> position = choose(key, tried, now);
  if (!position) return std::nullopt;
  return put(*position);
}

std::optional<Balancer::Place> Balancer::take_this(std::string_view name, BackendSet tried, Time now) {
  const std::optional<size_t> position = find(name);
  if (!resting_.empty()) wake_rested(now);
  if (!position || (tried | full_ | resting_).contains(*position)) return std::nullopt;
  const Member& member = members_[*position];
  if (member.standby || !is_well(member.state)) return std::nullopt;
  return put(*position);
}

Balancer::Place Balancer::put(size_t position) {
  Load& load = loads_[position];
  ++load.in_flight;
  full_.set(position, load.in_flight >= options_.in_flight_max);
  return {.position = position, .generation = members_[position].generation};
}

// First those that serve; then those of them that broke a connection, which is better than
// nothing; then, when this request failed with them or they refuse, the standby. A backend
// that is only full is waited for.
std::optional<size_t> Balancer::choose(const Key& key, BackendSet tried, Time now) {
  if (!resting_.empty()) wake_rested(now);
  const BackendSet untried = serving_.without(tried);
  const BackendSet open = untried.without(full_);
  const auto loads = std::span<const Load>(loads_).first(positions_);
  if (const auto one = policy_->pick(loads, open.without(resting_), key, now)) return one;
  if (const auto one = policy_->pick(loads, open.without(refused_), key, now)) return one;
  if (!untried.without(refused_).empty()) return std::nullopt;
  return first_standby(standby_.without(tried | full_ | refused_));
}

std::optional<size_t> Balancer::first_standby(BackendSet open) const {
  for (const size_t position : std::span(order_).first(count_)) {
    if (open.contains(position)) return position;
  }
  return std::nullopt;
}

void Balancer::finish(const Place& place, const Outcome& outcome, Time now) {
  const size_t i = place.position;
  if (!known_.contains(i) || members_[i].generation != place.generation) return;
  Load& load = loads_[i];
  ASSERT(load.in_flight > 0);
  --load.in_flight;
  full_.set(i, load.in_flight >= options_.in_flight_max);
  switch (outcome.kind) {
    case Outcome::Kind::kAnswered:
      policy_->answered(i, outcome.latency, now);
      passive_.answered(i, outcome.status, outcome.latency, serving_ | standby_);
      // Until all cores know.
      if (passive_.is_open(i)) rest(i, false, now);
      return;
    case Outcome::Kind::kRefused:
    case Outcome::Kind::kBroken:
      rest(i, outcome.kind == Outcome::Kind::kRefused, now);
      // One that takes no connections is restarted or drained: its checks say when it is back.
      if (outcome.kind == Outcome::Kind::kBroken) passive_.failed(i);
      return;
    case Outcome::Kind::kGivenUp:
      return;
  }
}

void Balancer::rest(size_t position, bool refused, Time now) {
  members_[position].rests_until = now + kRest;
  resting_.add(position);
  refused_.set(position, refused);
  suspects_.add(position);
}

BackendSet Balancer::drained() const {
  BackendSet drained;
  for (size_t i : known_) drained.set(i, members_[i].state == State::kDraining && loads_[i].in_flight == 0);
  return drained;
}

}  // namespace terrace::lb

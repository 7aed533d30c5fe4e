#include "app/backends.h"

#include <algorithm>

namespace terrace::app {

Instance* Backends::find(uint32_t slot, uint32_t generation) {
  for (const std::unique_ptr<Instance>& instance : instances_) {
    if (instance->slot == slot && instance->generation == generation) return instance.get();
  }
  return nullptr;
}

void Backends::update(const InstanceUpdate& update) {
  if (naming_) named_.emplace_back(update.slot, update.generation);
  Instance* instance = find(update.slot, update.generation);
  if (instance == nullptr) {
    if (update.state == InstanceState::kDown) return;
    instances_.push_back(std::make_unique<Instance>());
    instance = instances_.back().get();
    instance->slot = update.slot;
    instance->generation = update.generation;
    // Its last requests may outlive what is known of it elsewhere.
    instance->name = update.name;
    instance->release = update.release;
    instance->metrics = update.metrics ? update.metrics : std::make_shared<InstanceMetrics>();
  }
  instance->state = update.state;
  instance->address = update.address;
  if (update.state == InstanceState::kUp) {
    instance->suspect_until = {};
    line_.wake(limits_.connections_max);
    return;
  }
  instance->pool.clear();
  // Who waits may have somewhere else to go.
  if (none_serves()) line_.wake(line_.length());
  if (instance->in_flight > 0) return;  // release() ends it
  if (update.state == InstanceState::kDraining) events_.drained(update.slot, update.generation);
  if (update.state == InstanceState::kDown) erase(*instance);
}

void Backends::mark() {
  naming_ = true;
  named_.clear();
}

void Backends::forget_unnamed() {
  if (!naming_) return;
  std::vector<InstanceUpdate> gone;
  for (const std::unique_ptr<Instance>& instance : instances_) {
    const std::pair key(instance->slot, instance->generation);
    if (std::ranges::find(named_, key) != named_.end()) continue;
    gone.push_back({instance->slot, instance->generation, InstanceState::kDown, instance->address,
                    instance->name, instance->release, nullptr});
  }
  naming_ = false;
  for (const InstanceUpdate& one : gone) update(one);
}

void Backends::erase(Instance& instance) {
  std::erase_if(instances_, [&](const std::unique_ptr<Instance>& one) { return one.get() == &instance; });
}

void Backends::tick() {
  const Time now = reactor_.now();
  for (const std::unique_ptr<Instance>& instance : instances_) {
    instance->pool.sweep(now);
    if (instance->failures_unsaid == 0) continue;
    events_.failed(instance->slot, instance->generation, instance->failures_unsaid);
    instance->failures_unsaid = 0;
  }
  // One that rested may be tried again by whoever waits.
  if (!line_.empty() && best() != nullptr) line_.wake(limits_.connections_max);
}

Instance* Backends::take() {
  Instance* const taken = best();
  if (taken == nullptr) return nullptr;
  ++next_;
  ++taken->in_flight;
  taken->metrics->in_flight.add();
  taken->metrics->requests.add();
  return taken;
}

bool Backends::none_serves() const {
  const Time now = reactor_.now();
  return std::ranges::none_of(instances_, [&](const std::unique_ptr<Instance>& one) {
    return one->state == InstanceState::kUp && !(one->refused && now < one->suspect_until);
  });
}

Instance* Backends::best() const {
  const Time now = reactor_.now();
  Instance* best = nullptr;
  Instance* suspect = nullptr;
  const size_t count = instances_.size();
  for (size_t i = 0; i < count; ++i) {
    Instance* one = instances_[(next_ + i) % count].get();
    if (one->state != InstanceState::kUp || one->in_flight >= limits_.connections_max) continue;
    const bool resting = now < one->suspect_until;
    if (resting && one->refused) continue;
    Instance*& among = resting ? suspect : best;
    if (among == nullptr || one->in_flight < among->in_flight) among = one;
  }
  return best != nullptr ? best : suspect;
}

void Backends::release(Instance& instance) {
  --instance.in_flight;
  instance.metrics->in_flight.subtract();
  if (instance.in_flight == 0 && instance.state == InstanceState::kDraining) {
    events_.drained(instance.slot, instance.generation);
  }
  if (instance.in_flight == 0 && instance.state == InstanceState::kDown) erase(instance);
  line_.wake(1);
}

void Backends::failed(Instance& instance, bool refused) {
  instance.refused = refused;
  ++instance.failures_unsaid;
  instance.metrics->failures.add();
  instance.suspect_until = reactor_.now() + kSuspectFor;
  instance.pool.clear();
  if (none_serves()) line_.wake(line_.length());
  if (instance.failures_unsaid == 1) events_.failed(instance.slot, instance.generation, 0);
}

}  // namespace terrace::app

#include "program/instance_tally.h"

#include <algorithm>

namespace terrace::program {

void InstanceTally::Count::add(const Count& more) {
  requests += more.requests;
  failures += more.failures;
  errors += more.errors;
  in_flight += more.in_flight;
  duration.add(more.duration);
}

InstanceTally::Count InstanceTally::Generation::count() const {
  Count count;
  for (const std::shared_ptr<app::InstanceMetrics>& core : per_core) {
    count.requests += core->requests.get();
    count.failures += core->failures.get();
    count.errors += core->errors.get();
    count.in_flight += core->in_flight.get();
    count.duration.add(core->duration);
  }
  return count;
}

// Nobody but us holds its counters: every core has dropped it, or was never told.
bool InstanceTally::Generation::is_forgotten() const {
  return std::ranges::all_of(per_core, [](const auto& core) { return core.use_count() == 1; });
}

InstanceTally::PerCore InstanceTally::note(const InstanceUpdate& record) {
  fold();
  const bool is_gone = record.state == InstanceState::kDown;
  Slot& slot = slots_[record.slot];
  slot.name = record.name.view();
  auto found = std::ranges::find(slot.generations, record.generation, &Generation::number);
  if (found == slot.generations.end()) {
    if (is_gone) return {};
    Generation fresh{.number = record.generation, .recipe = record.recipe, .per_core = {}};
    for (size_t i = 0; i < cores_; ++i) fresh.per_core.push_back(std::make_shared<app::InstanceMetrics>());
    found = slot.generations.insert(slot.generations.end(), std::move(fresh));
    if (record.generation > slot.newest) ++slot.starts;
    slot.newest = std::max(slot.newest, record.generation);
    note_recipe(record.recipe);
  }
  found->state = record.state;
  return found->per_core;
}

// Keeps those that live, and of the others the last ones.
void InstanceTally::note_recipe(uint64_t recipe) {
  if (find(recipe) == nullptr) recipes_.push_back({.recipe = recipe, .past = {}});
  while (recipes_.size() > kRecipesMax) {
    const auto dead =
        std::ranges::find_if(recipes_, [this](const Recipe& one) { return !lives(one.recipe); });
    recipes_.erase(dead != recipes_.end() ? dead : recipes_.begin());
  }
}

InstanceTally::Recipe* InstanceTally::find(uint64_t recipe) {
  const auto found = std::ranges::find(recipes_, recipe, &Recipe::recipe);
  return found != recipes_.end() ? &*found : nullptr;
}

bool InstanceTally::lives(uint64_t recipe) const {
  return std::ranges::any_of(slots_, [recipe](const auto& slot) {
    return std::ranges::find(slot.second.generations, recipe, &Generation::recipe) !=
           slot.second.generations.end();
  });
}

void InstanceTally::fold() {
  for (auto& [number, slot] : slots_) {
    for (const Generation& each : slot.generations) {
      if (!each.is_forgotten()) continue;
      const Count count = each.count();
      slot.past.add(count);
      if (Recipe* recipe = find(each.recipe)) recipe->past.add(count);
    }
    std::erase_if(slot.generations, [](const Generation& each) { return each.is_forgotten(); });
  }
}

void InstanceTally::write(Stats& stats) {
  fold();
  std::map<uint64_t, Count> living;
  for (const auto& [number, slot] : slots_) {
    for (const Generation& each : slot.generations) {
      const Count count = each.count();
      living[each.recipe].add(count);
      if (stats.instances_count == kInstancesMax) continue;
      stats.instances[stats.instances_count++] = {
          .slot = number,
          .generation = each.number,
          .requests = count.requests,
          .failures = count.failures,
          .errors = count.errors,
          .in_flight = static_cast<uint64_t>(std::max<int64_t>(0, count.in_flight))};
    }
  }
  for (const Recipe& each : recipes_) {
    Count count = each.past;
    count.add(living[each.recipe]);
    stats.recipes[stats.recipes_count++] = {.recipe = each.recipe,
                                            .requests = count.requests,
                                            .failures = count.failures,
                                            .errors = count.errors,
                                            .durations = count.duration.buckets};
  }
}

std::vector<monitor::InstanceTotals> InstanceTally::totals() {
  fold();
  std::vector<monitor::InstanceTotals> totals;
  for (const auto& [number, slot] : slots_) {
    Count count = slot.past;
    for (const Generation& each : slot.generations) count.add(each.count());
    const bool up =
        std::ranges::find(slot.generations, InstanceState::kUp, &Generation::state) != slot.generations.end();
    totals.push_back({.name = slot.name,
                      .up = up,
                      .restarts = slot.starts - std::min<uint64_t>(slot.starts, 1),
                      .requests = count.requests,
                      .errors = count.failures + count.errors,
                      .duration = count.duration,
                      .in_flight = count.in_flight});
  }
  return totals;
}

}  // namespace terrace::program

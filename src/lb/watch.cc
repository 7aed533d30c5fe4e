#include "lb/watch.h"

#include <algorithm>

namespace terrace::lb {
namespace {

// Without anything to wait for.
constexpr Duration kIdle = std::chrono::hours(1);

}  // namespace

void Watch::configure(PoolPlan plan, const health::CheckPlan& checks) {
  checks_ = checks;
  pool_.configure(std::move(plan), reactor_.now());
  std::vector<std::shared_ptr<Target>> targets;
  std::vector<std::shared_ptr<Target>> begun;
  for (const Standing& one : pool_.standings()) {
    const auto known = std::ranges::find(targets_, one.name, [](const auto& target) { return target->name; });
    if (known != targets_.end()) {
      (*known)->schedule.set_plan(checks);
      (*known)->wake.set();
      targets.push_back(*known);
      continue;
    }
    targets.push_back(std::make_shared<Target>(one.name, checks, reactor_));
    begun.push_back(targets.back());
  }
  targets_.swap(targets);
  for (const std::shared_ptr<Target>& old : targets) {
    old->gone = std::ranges::find(targets_, old) == targets_.end();
    if (old->gone) old->wake.set();
  }
  publish();
  for (const std::shared_ptr<Target>& target : begun) scope_.spawn(keep_checking(target));
  if (!ticking_) scope_.spawn(keep_ticking());
  ticking_ = true;
}

void Watch::suspect(std::string_view backend) {
  for (const std::shared_ptr<Target>& target : targets_) {
    if (target->name != backend) continue;
    target->schedule.suspect(reactor_.now());
    target->wake.set();
  }
}

void Watch::eject(std::string_view backend, std::string_view reason) {
  const std::optional<size_t> position = pool_.find(backend);
  if (position && pool_.eject(*position, reason, reactor_.now())) publish();
}

void Watch::drain(std::string_view backend, bool drained, std::string_view reason) {
  const std::optional<size_t> position = pool_.find(backend);
  if (!position) return;
  pool_.drain(*position, drained, reason, reactor_.now());
  publish();
}

Task<void> Watch::close() {
  closing_ = true;
  wake_.set();
  for (const std::shared_ptr<Target>& target : targets_) {
    target->gone = true;
    target->wake.set();
  }
  co_await scope_.join();
}

Task<void> Watch::keep_checking(std::shared_ptr<Target> target) {
  while (!target->gone) {
    const Time next = target->schedule.next();
    if (reactor_.now() < next) {
      const Result<void> woken = co_await target->wake.wait_until(next);
      if (woken) target->wake.reset();
      continue;
    }
    const health::CheckResult result = co_await owner_.check(target->name, checks_.timeout);
    if (target->gone) break;
    target->schedule.checked(result.success, reactor_.now());
    note(*target, result);
  }
}

void Watch::note(const Target& target, const health::CheckResult& result) {
  const std::optional<size_t> position = pool_.find(target.name);
  if (!position) return;
  pool_.checked(*position, target.schedule.health(), target.schedule.doubt(), result.reason, reactor_.now(),
                result.silent);
  publish();
}

// Ends ejections and slow starts in their time.
Task<void> Watch::keep_ticking() {
  while (!closing_) {
    const Time next = pool_.next().value_or(reactor_.now() + kIdle);
    const Result<void> woken = co_await wake_.wait_until(next);
    if (woken) wake_.reset();
    pool_.tick(reactor_.now());
    publish();
  }
}

void Watch::publish() {
  const BackendSet changed = pool_.take_changed();
  if (changed.empty()) return;
  wake_.set();
  owner_.changed(pool_, changed);
}

}  // namespace terrace::lb

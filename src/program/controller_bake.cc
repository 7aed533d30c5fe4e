// The controller's part about comparing a release with the one before it.

#include <fmt/format.h>

#include <algorithm>

#include "program/controller.h"
#include "program/deploy.h"

namespace terrace::program {
namespace {

using std::chrono::seconds;

constexpr seconds kBakeStep{1};
constexpr uint64_t kOldRequestsEnough = 200;
// Ends in a row of one instance that are no accident any more.
constexpr uint32_t kBakeEndsMax = 3;

// What the release that serves answered lately: so many samples, so far apart.
constexpr seconds kHistoryStep{15};
constexpr size_t kHistoryMax = 9;

constexpr seconds kWorkerPatience{10};
constexpr std::chrono::milliseconds kWorkerPause{2};

}  // namespace

// When a deploy is said to be done, no core answers with the files of before.
Task<void> Controller::wait_until_worker_serves() {
  const Time deadline = reactor_.now() + kWorkerPatience;
  while (worker_ && worker_site_ != version_ && !stopping_ && reactor_.now() < deadline)
    co_await sleep(reactor_, kWorkerPause);
}

Task<void> Controller::note_figures() {
  for (;;) {
    co_await sleep(reactor_, kHistoryStep);
    if (!worker_ || !site_ || stopping_) continue;
    co_await refresh_stats();
    const uint64_t recipe = lifecycle_.plan().recipe;
    history_.push_back({.recipe = recipe, .figures = figures_of(recipe)});
    if (history_.size() > kHistoryMax) history_.pop_front();
  }
}

app::BakeFigures Controller::figures_of(uint64_t recipe) const {
  if (!stats_) return {};
  const size_t count = std::min<size_t>(stats_->recipes_count, stats_->recipes.size());
  for (size_t i = 0; i < count; ++i) {
    const RecipeStats& each = stats_->recipes[i];
    if (each.recipe != recipe) continue;
    return {.requests = each.requests,
            .errors = each.errors,
            .failures = each.failures,
            .durations = each.durations};
  }
  return {};
}

Task<app::BakeFigures> Controller::fresh_figures_of(uint64_t recipe) {
  co_await refresh_stats();
  co_return figures_of(recipe);
}

uint32_t Controller::ends_in_a_row() const {
  uint32_t most = 0;
  for (const app::Lifecycle::Slot& place : lifecycle_.slots()) most = std::max(most, place.ends);
  return most;
}

// Why the new release is worse whatever it answered: requests wait while an instance starts
// again, so their answers do not tell that it ends all the time. Empty: it is not.
std::string Controller::why_unstable(const BakePlan& plan, bool over) const {
  const std::vector<app::Lifecycle::Slot>& slots = lifecycle_.slots();
  for (uint32_t slot = 0; slot < slots.size() && plan.old_ends < kBakeEndsMax; ++slot) {
    if (slots[slot].ends < kBakeEndsMax) continue;
    const auto memory = memory_.find(slot);
    const std::string last = memory == memory_.end() ? "" : memory->second.last_exit;
    return fmt::format("{} ended {} times{}", instance_name(slot), slots[slot].ends,
                       last.empty() ? "" : ", last with " + last);
  }
  const auto is_up = [](const app::Lifecycle::Slot& place) {
    return place.current && place.current->phase == app::MemberPhase::kUp;
  };
  const auto stands_by = [](const app::Lifecycle::Slot& place) {
    return place.standby && place.standby->well;
  };
  if (!over || std::ranges::any_of(slots, is_up) || std::ranges::none_of(slots, stands_by)) return "";
  return "none of its instances is healthy, and those of the release before are";
}

// What the old release answered in the last two minutes says more than what it did at
// night, as a database may be away since; when that is little, all that it did counts.
Task<app::BakeVerdict> Controller::bake(BakePlan plan) {
  app::BakeSample sample;
  const app::BakeFigures old_now = co_await fresh_figures_of(plan.old_recipe);
  const auto earliest = std::ranges::find(history_, plan.old_recipe, &PastFigures::recipe);
  sample.before = app::grown(earliest != history_.end() ? earliest->figures : plan.old_before, old_now);
  if (sample.before.requests < kOldRequestsEnough) sample.before = old_now;
  app::BakeFigures last = plan.fresh_before;
  const Time begin = reactor_.now();
  app::BakeVerdict verdict;
  while (!sample.over && !verdict.worse && !deploy_->taken_back && lifecycle_.baking() && !stopping_) {
    const Duration left = begin + plan.limit - reactor_.now();
    co_await sleep(reactor_, std::clamp<Duration>(left, Duration::zero(), kBakeStep));
    const bool was_warm = reactor_.now() - begin > app::kBakeWarmUp;
    const app::BakeFigures now = co_await fresh_figures_of(plan.fresh_recipe);
    const app::BakeFigures more = app::grown(std::exchange(last, now), now);
    sample.after += more;
    if (was_warm) sample.warm += more;
    sample.over = reactor_.now() - begin >= plan.limit;
    verdict = app::compare(sample);
    if (std::string why = why_unstable(plan, sample.over); !verdict.worse && !why.empty())
      verdict = {.worse = true, .reason = std::move(why)};
  }
  co_return verdict;
}

}  // namespace terrace::program

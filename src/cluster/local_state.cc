#include "cluster/local_state.h"

#include <algorithm>

namespace terrace::cluster {
namespace {

StateAnswer unanswered(const LocalState& state, const Error& error) {
  return Unanswered{describe(error), state.placement()};
}

Task<StateAnswer> answer_get(LocalState& state, std::string key, Time deadline) {
  const Result<std::optional<Entry>> got = co_await state.get(std::move(key), deadline);
  if (!got) co_return unanswered(state, got.error());
  if (!*got) co_return Absent{};
  co_return **got;
}

Task<StateAnswer> answer_list(LocalState& state, std::string prefix, Time deadline) {
  Result<Snapshot> got = co_await state.list(std::move(prefix), deadline);
  if (!got) co_return unanswered(state, got.error());
  co_return std::move(*got);
}

Task<StateAnswer> answer_commit(LocalState& state, Commit commit, Time deadline) {
  Committed committed = co_await state.commit(std::move(commit), deadline);
  if (committed.outcome == Outcome::kUnavailable) co_return Unanswered{committed.text, state.placement()};
  co_return committed;
}

Task<StateAnswer> answer_watch(LocalState& state, WatchRequest watch, Time deadline) {
  state.seen(watch.since);
  const Time until = std::min(deadline, state.published().reactor().now() + watch.wait);
  Result<Changes> changes = co_await state.published().wait(std::move(watch.prefix), watch.since, until);
  if (changes) co_return std::move(*changes);
  if (changes.error().code == Code::kTimeout && state.healthy()) co_return Nothing{};
  co_return unanswered(state, changes.error());
}

}  // namespace

Task<StateAnswer> answer(LocalState& state, StateRequest request, Time deadline) {
  if (auto* get = std::get_if<GetRequest>(&request)) return answer_get(state, std::move(get->key), deadline);
  if (auto* list = std::get_if<ListRequest>(&request))
    return answer_list(state, std::move(list->prefix), deadline);
  if (auto* commit = std::get_if<Commit>(&request)) return answer_commit(state, std::move(*commit), deadline);
  if (auto* watch = std::get_if<WatchRequest>(&request))
    return answer_watch(state, std::move(*watch), deadline);
  if (std::holds_alternative<WhereRequest>(request)) return Task<StateAnswer>::ready(state.placement());
  return Task<StateAnswer>::ready(Unanswered{"not asked of who holds the state", state.placement()});
}

}  // namespace terrace::cluster

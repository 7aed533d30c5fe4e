#include "cluster/remote_state.h"

#include <algorithm>
#include <utility>

namespace terrace::cluster {
namespace {

// A watch gives up its turn now and then, so that a server that froze is noticed.
constexpr Duration kWatchTurn = std::chrono::seconds(5);

class RemoteWatch final : public StateWatch {
 public:
  RemoteWatch(Reactor& reactor, RemoteState& state, std::string prefix)
      : reactor_(reactor), state_(state), prefix_(std::move(prefix)) {}

  Task<Result<Changes>> next(Time deadline) override {
    for (;;) {
      const Duration left = std::max(deadline - reactor_.now(), Duration::zero());
      WatchRequest watch{.prefix = prefix_, .since = since_};
      watch.wait = std::chrono::duration_cast<std::chrono::milliseconds>(std::min(left, kWatchTurn));
      StateRequest request(std::move(watch));
      Result<StateAnswer> answer = co_await state_.ask(std::move(request), deadline + kGrace);
      if (!answer) co_return std::unexpected(answer.error());
      if (auto* changes = std::get_if<Changes>(&*answer)) {
        since_ = changes->version;
        co_return std::move(*changes);
      }
      if (!std::holds_alternative<Nothing>(*answer)) co_return fail(Code::kInvalid, "watch", "an odd answer");
      if (reactor_.now() >= deadline) co_return fail(Code::kTimeout, "watch");
    }
  }

 private:
  // For the way there and back, so that an answer "nothing" still counts.
  static constexpr Duration kGrace = std::chrono::milliseconds(500);
  Reactor& reactor_;
  RemoteState& state_;
  std::string prefix_;
  Version since_ = 0;
};

std::unexpected<Error> unavailable() {
  return fail(Code::kUnavailable, "state", "nobody who holds it answers");
}

}  // namespace

void RemoteState::learn(const Placement& placement) {
  if (placement.generation <= placement_.generation) return;
  placement_ = placement;
  others_ = others();
  preferred_ = 0;
}

std::vector<std::string> RemoteState::others() const {
  std::vector<std::string> all = placement_.holders;
  std::erase(all, self_);
  return all;
}

std::optional<std::string> RemoteState::holder(size_t attempt) const {
  if (others_.empty()) return std::nullopt;
  return others_[(preferred_ + attempt) % others_.size()];
}

Time RemoteState::attempt_deadline(Time deadline, Duration most) const {
  return others_.size() < 2 ? deadline : std::min(deadline, reactor_.now() + most);
}

// After a round over all holders; false when there is no time for another.
Task<bool> RemoteState::pause(size_t attempt, Time deadline) {
  if (attempt % std::max<size_t>(others_.size(), 1) != 0) co_return true;
  if (reactor_.now() + kPause >= deadline) co_return false;
  co_await sleep(reactor_, kPause);
  co_return true;
}

Task<Result<StateAnswer>> RemoteState::ask_one(std::string server, std::string text, Time deadline) {
  const Result<std::string> answered = co_await transport_.ask(std::move(server), std::move(text), deadline);
  if (!answered) co_return std::unexpected(answered.error());
  Result<StateAnswer> answer = parse_state_answer(*answered);
  if (answer) {
    if (const auto* unanswered = std::get_if<Unanswered>(&*answer)) {
      learn(unanswered->elsewhere);
      co_return fail(Code::kUnavailable, "state", "who was asked does not hold it at the moment");
    }
  }
  co_return answer;
}

Task<Result<StateAnswer>> RemoteState::ask(StateRequest request, Time deadline) {
  const std::string text = to_json(request);
  Duration most = kAttemptMax;
  if (const auto* watch = std::get_if<WatchRequest>(&request)) most += watch->wait;
  for (size_t attempt = 0;;) {
    const std::optional<std::string> server = holder(attempt);
    if (server) {
      const int64_t generation = placement_.generation;
      Result<StateAnswer> answer = co_await ask_one(*server, text, attempt_deadline(deadline, most));
      if (answer && generation == placement_.generation) preferred_ = (preferred_ + attempt) % others_.size();
      if (answer) co_return answer;
    }
    if (reactor_.now() >= deadline) co_return unavailable();
    const bool again = co_await pause(++attempt, deadline);
    if (!again) co_return unavailable();
  }
}

Task<Result<std::optional<Entry>>> RemoteState::get(std::string key, Time deadline) {
  if (!is_key(key)) co_return fail(Code::kInvalid, "state", "not a key");
  StateRequest request(GetRequest{std::move(key)});
  Result<StateAnswer> answer = co_await ask(std::move(request), deadline);
  if (!answer) co_return std::unexpected(answer.error());
  if (auto* entry = std::get_if<Entry>(&*answer)) co_return std::optional<Entry>(std::move(*entry));
  if (std::holds_alternative<Absent>(*answer)) co_return std::optional<Entry>();
  co_return fail(Code::kInvalid, "state", "an odd answer");
}

Task<Result<Snapshot>> RemoteState::list(std::string prefix, Time deadline) {
  if (!is_prefix(prefix)) co_return fail(Code::kInvalid, "state", "not a prefix of keys");
  StateRequest request(ListRequest{std::move(prefix)});
  Result<StateAnswer> answer = co_await ask(std::move(request), deadline);
  if (!answer) co_return std::unexpected(answer.error());
  if (auto* snapshot = std::get_if<Snapshot>(&*answer)) co_return std::move(*snapshot);
  co_return fail(Code::kInvalid, "state", "an odd answer");
}

Task<Committed> RemoteState::commit(Commit commit, Time deadline) {
  if (const char* why = objection_to(commit)) co_return Committed{.outcome = Outcome::kInvalid, .text = why};
  const StateRequest request(std::move(commit));
  const std::string text = to_json(request);
  for (size_t attempt = 0;;) {
    if (const std::optional<std::string> server = holder(attempt)) {
      Result<StateAnswer> answer =
          co_await ask_one(*server, text, attempt_deadline(deadline, 2 * kAttemptMax));
      auto* committed = answer ? std::get_if<Committed>(&*answer) : nullptr;
      if (committed != nullptr) co_return std::move(*committed);
      if (answer || answer.error().code != Code::kUnavailable)
        co_return Committed{.outcome = Outcome::kUnknown,
                            .text = "the server that decides did not answer in time"};
    }
    const bool again = co_await pause(++attempt, deadline);
    if (!again || reactor_.now() >= deadline)
      co_return Committed{.outcome = Outcome::kUnavailable,
                          .text = "nobody who holds the shared state answers"};
  }
}

std::unique_ptr<StateWatch> RemoteState::watch(std::string prefix) {
  return std::make_unique<RemoteWatch>(reactor_, *this, std::move(prefix));
}

}  // namespace terrace::cluster

#include "cluster/shared_state.h"

#include <algorithm>
#include <filesystem>
#include <utility>

namespace terrace::cluster {
namespace {

// What one back end gets before the next is tried.
constexpr Duration kAttemptMax = std::chrono::milliseconds(1500);
constexpr Duration kPause = std::chrono::milliseconds(50);
// A watch looks this often whether another back end has become the right one.
constexpr Duration kWatchTurn = std::chrono::seconds(2);

Committed unavailable() {
  return {.outcome = Outcome::kUnavailable, .text = "nobody who holds the shared state answers"};
}

}  // namespace

// Follows whoever holds the state, from one back end to the next; only the last copy uses it.
class SharedState::DirectWatch final : public StateWatch {
 public:
  explicit DirectWatch(SharedState& shared) : shared_(shared) {}

  Task<Result<Changes>> next(Time deadline) override {
    for (;;) {
      if (shared_.closing_) co_return fail(Code::kCancelled, "watch");
      const Time until = std::min(deadline, shared_.reactor_.now() + kWatchTurn);
      Result<Changes> changes = co_await ask(until);
      if (changes) since_ = changes->version;
      if (changes || changes.error().code != Code::kTimeout) co_return changes;
      if (shared_.reactor_.now() >= deadline) co_return changes;
    }
  }

 private:
  Task<Result<Changes>> ask(Time until) {
    if (const std::shared_ptr<LocalState> here = shared_.local()) {
      Result<Changes> changes = co_await here->published().wait("", since_, until);
      co_return changes;
    }
    const Duration wait = std::max(until - shared_.reactor_.now(), Duration::zero());
    StateRequest request(
        WatchRequest{.since = since_, .wait = std::chrono::duration_cast<std::chrono::milliseconds>(wait)});
    Result<StateAnswer> answer = co_await shared_.remote_.ask(std::move(request), until + kAttemptMax);
    if (!answer) co_return fail(Code::kUnavailable, "watch", "nobody who holds the shared state answers");
    if (auto* changes = std::get_if<Changes>(&*answer)) co_return std::move(*changes);
    if (std::holds_alternative<Nothing>(*answer)) co_return fail(Code::kTimeout, "watch");
    co_return fail(Code::kInvalid, "watch", "an odd answer");
  }

  SharedState& shared_;
  Version since_ = 0;
};

SharedState::SharedState(Reactor& reactor, const Log& log, StateTransport& transport, Options options)
    : reactor_(reactor),
      log_(log),
      transport_(transport),
      options_(std::move(options)),
      copy_(reactor, log, options_.folder + "/state"),
      remote_(reactor, transport, {}, options_.server),
      wake_(reactor) {}

Result<void> SharedState::open() {
  opened_ = reactor_.clock().now();
  if (const Result<void> loaded = copy_.load(); !loaded)
    log_.warning("the copy of the shared state on disk is of no use", {{"error", describe(loaded.error())}});
  remote_.learn(copy_.placement());
  Journal::Contents contents;
  Result<std::unique_ptr<Journal>> journal = Journal::open(options_.folder + "/state", contents);
  Result<void> opened;
  if (journal) {
    if (contents.torn_bytes > 0)
      log_.info("the journal of the shared state ended in a torn line",
                {{"bytes", uint64_t{contents.torn_bytes}}});
    const bool here =
        contents.placement.keeper == Keeper::kCoordinator && contents.placement.holds(options_.server);
    const bool newest = contents.placement.generation >= remote_.placement().generation;
    remote_.learn(contents.placement);
    if (newest && (here || contents.moving)) set_coordinator(std::move(*journal), std::move(contents));
  } else if (journal.error().code != Code::kNotFound) {
    opened = std::unexpected(journal.error());
  }
  copy_.follow(std::make_unique<DirectWatch>(*this));
  scope_.spawn(tend());
  return opened;
}

Result<void> SharedState::found() {
  return coordinate({.version = 1}, {.generation = 1, .holders = {options_.server}});
}

void SharedState::join(const Placement& placement) { remote_.learn(placement); }

void SharedState::use(std::vector<SiteServer> servers) {
  if (servers == servers_) return;
  servers_ = std::move(servers);
  wake_.set();
}

Result<void> SharedState::coordinate(const Snapshot& begin, const Placement& placement) {
  if (closing_) return fail(Code::kCancelled, "state");
  Result<std::unique_ptr<Journal>> journal = Journal::create(options_.folder + "/state", begin, placement);
  if (!journal) return std::unexpected(journal.error());
  remote_.learn(placement);
  set_coordinator(std::move(*journal), {.entries = Entries(begin), .placement = placement});
  return {};
}

void SharedState::set_coordinator(std::unique_ptr<Journal> journal, Journal::Contents contents) {
  retire_coordinator();
  coordinator_ = std::make_shared<Coordinator>(reactor_, log_, std::move(journal), std::move(contents));
  wake_.set();
}

void SharedState::retire_coordinator() {
  if (coordinator_) scope_.spawn(close_coordinator(std::exchange(coordinator_, nullptr)));
}

Task<void> SharedState::close_coordinator(std::shared_ptr<Coordinator> coordinator) {
  co_await coordinator->close();
}

Task<void> SharedState::close_voter(std::shared_ptr<Voter> voter, bool wipe) {
  co_await voter->state.close();
  co_await voter->process.close();
  std::error_code ignored;
  if (wipe) std::filesystem::remove_all(options_.folder + "/etcd", ignored);
  --voters_closing_;
}

Result<void> SharedState::take_over() {
  if (holds() || heard(kSilence))
    return fail(Code::kUnavailable, "take over", "the shared state is still held");
  if (reactor_.clock().now() - opened_ < kSilence)
    return fail(Code::kUnavailable, "take over", "the others have not been asked for long enough");
  Snapshot all = copy_.entries().list("");
  if (all.version == 0)
    return fail(Code::kNotFound, "take over", "this server has no copy of the shared state");
  // The etcd of before is given up, with what it told its members to do.
  std::erase_if(all.entries, [](const Entry& entry) {
    return entry.key == kVotersKey || entry.key.starts_with(kEtcdLostPrefix);
  });
  all.version += kTakeOverGap;
  Placement placement = remote_.placement();
  ++placement.generation;
  placement.keeper = Keeper::kCoordinator;
  placement.holders = {options_.server};
  const Result<void> done = coordinate(all, placement);
  if (done) stop_etcd(true);
  return done;
}

Task<void> SharedState::close() {
  closing_ = true;
  wake_.set();
  if (coordinator_) coordinator_->published().close();
  if (voter_) voter_->state.published().close();
  co_await copy_.close();
  retire_coordinator();
  stop_etcd(false);
  co_await scope_.join();
}

bool SharedState::heard(Duration within) const {
  return copy_.heard() && reactor_.now() - *copy_.heard() < within;
}

std::shared_ptr<LocalState> SharedState::local() const {
  if (coordinator_ && coordinator_->healthy()) return coordinator_;
  // Not one that has not heard yet who holds the state since.
  if (voter_ && voter_->state.healthy() && voter_->state.placement().generation >= placement().generation)
    return {voter_, &voter_->state};
  return nullptr;
}

Task<Result<std::optional<Entry>>> SharedState::get(std::string key, Time deadline) {
  for (;;) {
    Result<std::optional<Entry>> got = fail(Code::kUnavailable, "state");
    const Time until = std::min(deadline, reactor_.now() + kAttemptMax);
    if (const std::shared_ptr<LocalState> here = local()) {
      got = co_await here->get(key, until);
    } else {
      got = co_await remote_.get(key, until);
    }
    if (got || got.error().code == Code::kInvalid || reactor_.now() + kPause >= deadline) co_return got;
    co_await sleep(reactor_, kPause);
  }
}

Task<Result<Snapshot>> SharedState::list(std::string prefix, Time deadline) {
  for (;;) {
    Result<Snapshot> got = fail(Code::kUnavailable, "state");
    const Time until = std::min(deadline, reactor_.now() + kAttemptMax);
    if (const std::shared_ptr<LocalState> here = local()) {
      got = co_await here->list(prefix, until);
    } else {
      got = co_await remote_.list(prefix, until);
    }
    if (got || got.error().code == Code::kInvalid || reactor_.now() + kPause >= deadline) co_return got;
    co_await sleep(reactor_, kPause);
  }
}

Task<Committed> SharedState::commit(Commit commit, Time deadline) {
  for (;;) {
    Committed committed = unavailable();
    const Time until = std::min(deadline, reactor_.now() + 2 * kAttemptMax);
    if (const std::shared_ptr<LocalState> here = local()) {
      committed = co_await here->commit(commit, until);
    } else {
      committed = co_await remote_.commit(commit, until);
    }
    const bool again = committed.outcome == Outcome::kUnavailable && reactor_.now() + kPause < deadline;
    if (!again) co_return committed;
    co_await sleep(reactor_, kPause);
  }
}

// Somebody hands the whole state over to us: a coordinator that leaves the site.
StateAnswer SharedState::take(const std::string& asker, const TakeRequest& request) {
  const Placement& target = request.placement;
  if (coordinator_ && coordinator_->placement() == target) return Committed{.outcome = Outcome::kDone};
  const Placement& now = remote_.placement();
  const bool from_holder = now.generation == 0 || now.holds(asker);
  if (!from_holder || target.generation <= now.generation || target.keeper != Keeper::kCoordinator ||
      target.holders != std::vector<std::string>{options_.server}) {
    return Unanswered{"the state cannot be taken from this server", now};
  }
  const Result<void> done = coordinate(request.snapshot, target);
  if (!done) return Unanswered{describe(done.error()), now};
  log_.info("this server holds the shared state from now on", {{"from", asker}});
  return Committed{.outcome = Outcome::kDone, .version = request.snapshot.version};
}

Task<std::string> SharedState::answer(std::string asker, std::string request, Time deadline) {
  Result<StateRequest> parsed = parse_state_request(request);
  if (!parsed) co_return to_json(StateAnswer(Unanswered{describe(parsed.error()), {}}));
  if (std::holds_alternative<WhereRequest>(*parsed)) co_return to_json(StateAnswer(remote_.placement()));
  if (const auto* taken = std::get_if<TakeRequest>(&*parsed)) co_return to_json(take(asker, *taken));
  const std::shared_ptr<LocalState> here = local();
  if (!here) co_return to_json(StateAnswer(Unanswered{"not held here at the moment", remote_.placement()}));
  StateRequest asked = std::move(*parsed);
  const StateAnswer answered = co_await cluster::answer(*here, std::move(asked), deadline);
  co_return to_json(answered);
}

}  // namespace terrace::cluster

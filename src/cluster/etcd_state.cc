#include "cluster/etcd_state.h"

#include <algorithm>
#include <utility>

#include "cluster/etcd_room.h"

namespace terrace::cluster {
namespace {

constexpr const char* kTransaction = "/v3/kv/txn";
constexpr const char* kRange = "/v3/kv/range";
constexpr Duration kRetryPause = std::chrono::milliseconds(50);

const char* elsewhere(const EtcdView& view) {
  if (view.revision == 0) return "etcd does not hold the shared state yet";
  if (view.placement.keeper != Keeper::kEtcd) return "etcd does not hold the shared state any more";
  return nullptr;
}

Committed unavailable(const char* text) { return {.outcome = Outcome::kUnavailable, .text = text}; }

}  // namespace

EtcdState::EtcdState(Reactor& reactor, const Log& log, EtcdClient& client)
    : reactor_(reactor), log_(log), client_(client), published_(reactor), wake_(reactor) {
  scope_.spawn(poll());
}

Task<void> EtcdState::close() {
  closing_ = true;
  published_.close();
  wake_.set();
  co_await scope_.join();
}

bool EtcdState::has_majority() const { return majority_ && reactor_.now() - *majority_ < kHealthyFor; }

bool EtcdState::healthy() const { return has_majority() && elsewhere(view_) == nullptr && !closing_; }

// kUnavailable, kInvalid: certainly not carried out.
Task<Result<EtcdAnswer>> EtcdState::transaction(std::string body, Time deadline) {
  const Result<EtcdClient::Answer> answered = co_await client_.post(kTransaction, std::move(body), deadline);
  if (!answered) co_return std::unexpected(answered.error());
  if (answered->status != 200) co_return std::unexpected(meaning_of(parse_etcd_failure(answered->body)));
  Result<EtcdAnswer> answer = parse_etcd_answer(answered->body);
  // It was carried out, however odd the answer is.
  if (!answer) co_return fail(Code::kTimeout, "etcd", "an odd answer");
  co_return answer;
}

// Reads are asked again until the deadline: an election passes within one.
Task<Result<EtcdAnswer>> EtcdState::read(std::string body, Time deadline) {
  for (;;) {
    std::string again = body;
    Result<EtcdAnswer> answer = co_await transaction(std::move(again), deadline);
    if (answer) {
      const Result<EtcdView> view = etcd_view(*answer);
      if (!view) co_return std::unexpected(view.error());
      if (const char* why = elsewhere(*view)) co_return fail(Code::kUnavailable, "etcd", why);
      co_return answer;
    }
    if (answer.error().code != Code::kTimeout || closing_ || reactor_.now() + kRetryPause >= deadline)
      co_return answer;
    co_await sleep(reactor_, kRetryPause);
  }
}

Task<Result<std::optional<Entry>>> EtcdState::get(std::string key, Time deadline) {
  if (!is_key(key)) co_return fail(Code::kInvalid, "state", "not a key");
  Result<EtcdAnswer> answer = co_await read(etcd_get(key), deadline);
  if (!answer) co_return std::unexpected(answer.error());
  const Result<EtcdView> view = etcd_view(*answer);
  if (answer->ranges.size() != 2) co_return fail(Code::kInvalid, "etcd", "an odd answer");
  Result<std::vector<Entry>> entries = etcd_entries(answer->ranges[1], view->placement.base);
  if (!entries) co_return std::unexpected(entries.error());
  if (entries->empty()) co_return std::optional<Entry>();
  co_return std::optional<Entry>(std::move(entries->front()));
}

Task<Result<Snapshot>> EtcdState::list(std::string prefix, Time deadline) {
  if (!is_prefix(prefix)) co_return fail(Code::kInvalid, "state", "not a prefix of keys");
  Result<EtcdAnswer> answer = co_await read(etcd_list(prefix), deadline);
  if (!answer) co_return std::unexpected(answer.error());
  const Result<EtcdView> view = etcd_view(*answer);
  if (answer->ranges.size() != 2) co_return fail(Code::kInvalid, "etcd", "an odd answer");
  Result<std::vector<Entry>> entries = etcd_entries(answer->ranges[1], view->placement.base);
  if (!entries) co_return std::unexpected(entries.error());
  co_return Snapshot{.version = view->placement.base + answer->revision, .entries = std::move(*entries)};
}

// `base`: of the placement that the transaction needs to find.
Task<Committed> EtcdState::write(std::string body, Version base, Time deadline) {
  Result<EtcdAnswer> answer = co_await transaction(std::move(body), deadline);
  wake_.set();
  if (!answer) {
    const Code code = answer.error().code;
    const Outcome outcome = code == Code::kUnavailable ? Outcome::kUnavailable
                            : code == Code::kInvalid   ? Outcome::kInvalid
                                                       : Outcome::kUnknown;
    co_return Committed{.outcome = outcome, .text = describe(answer.error())};
  }
  if (answer->succeeded) co_return Committed{.outcome = Outcome::kDone, .version = base + answer->revision};
  co_return Committed{
      .outcome = Outcome::kRefused, .version = answer->revision, .text = "it was changed meanwhile"};
}

Task<Committed> EtcdState::commit(Commit commit, Time deadline) {
  const Committed judged = published_.entries().judge(commit);
  if (judged.outcome == Outcome::kInvalid) co_return judged;
  const EtcdView view = view_;
  if (const char* why = elsewhere(view)) co_return unavailable(why);
  if (etcd_refuses(commit, view))
    co_return Committed{.outcome = Outcome::kRefused, .text = "it was changed meanwhile"};
  Committed committed = co_await write(etcd_commit(commit, view), view.placement.base, deadline);
  if (committed.outcome != Outcome::kRefused) co_return committed;
  // A condition of the commit, or the placement? That of now tells: it never goes back.
  const Result<EtcdAnswer> now = co_await transaction(etcd_get("x"), deadline);
  const Result<EtcdView> seen = now ? etcd_view(*now) : Result<EtcdView>(std::unexpected(now.error()));
  if (seen && seen->revision == view.revision) co_return committed;
  if (seen) view_ = *seen;
  co_return unavailable("who holds the shared state was being changed");
}

Task<Committed> EtcdState::place(Placement placement, int64_t revision, Time deadline) {
  const Version base = placement.base;
  const Committed committed =
      co_await write(etcd_put_key(kEtcdPlacement, to_json(placement), revision), base, deadline);
  co_await fetch();
  co_return committed;
}

Task<void> EtcdState::poll() {
  while (!closing_) {
    co_await look();
    co_await look_for_room();
    const Result<void> woken = co_await wake_.wait_until(reactor_.now() + kPollPause);
    if (woken) wake_.reset();
    if (closing_) co_return;
  }
}

// Asks for the revision, and for what changed when it is another one.
Task<void> EtcdState::look() {
  const bool newest = reactor_.now() - asked_majority_ >= kMajorityPause;
  if (newest) asked_majority_ = reactor_.now();
  const Result<EtcdClient::Answer> answered =
      co_await client_.post(kRange, etcd_revision(newest), reactor_.now() + kQuestionMax);
  if (!answered || answered->status != 200) co_return;
  const Result<EtcdAnswer> answer = parse_etcd_answer(answered->body);
  if (!answer) co_return;
  if (newest) majority_ = reactor_.now();
  if (answer->revision != fetched_ && !closing_) co_await fetch();
}

Task<void> EtcdState::look_for_room() {
  const Time now = reactor_.now();
  if (closing_ || !has_majority() || now - asked_room_ < kRoomPause) co_return;
  asked_room_ = now;
  const Result<void> made = co_await make_room(client_, kEtcdQuotaBytes, now + kRoomMax);
  if (!made) log_.warning("etcd cannot be asked for room", {{"error", describe(made.error())}});
}

Task<void> EtcdState::fetch() {
  const Result<EtcdAnswer> answer =
      co_await transaction(etcd_changes(revision_), reactor_.now() + kQuestionMax);
  if (!answer || closing_) co_return;
  const Result<void> taken = take(*answer);
  if (!taken) log_.error("etcd does not answer as it should", {{"error", describe(taken.error())}});
}

Result<void> EtcdState::take(const EtcdAnswer& answer) {
  if (answer.ranges.size() != 3) return fail(Code::kInvalid, "etcd", "an odd answer");
  const Result<EtcdView> view = etcd_view(answer);
  if (!view) return std::unexpected(view.error());
  // A member that was away shows an older state until it has caught up.
  if (answer.revision < revision_ || view->revision < view_.revision) return {};
  const Version base = view->placement.base;
  Result<std::vector<Entry>> changed = etcd_entries(answer.ranges[1], base);
  const Result<std::vector<Entry>> there = etcd_entries(answer.ranges[2], base);
  if (!changed || !there) return fail(Code::kInvalid, "etcd", "an odd answer");
  view_ = *view;
  fetched_ = answer.revision;
  // Before the state has come here there is nothing to show, and after it has left nothing new.
  if (elsewhere(view_) != nullptr) return {};
  // The first look shows all there is, also to who comes from another back end; so does the
  // first one after the state was elsewhere, where it lost what was never here.
  const bool whole = revision_ == 0 || base_ != base;
  base_ = base;
  Changes changes{.whole = whole, .version = base + answer.revision, .entries = std::move(*changed)};
  const Snapshot known = published_.entries().list("");
  for (const Entry& entry : known.entries) {
    if (!std::ranges::binary_search(*there, entry.key, {}, &Entry::key)) changes.removed.push_back(entry.key);
  }
  revision_ = answer.revision;
  published_.follow(changes);
  return {};
}

}  // namespace terrace::cluster

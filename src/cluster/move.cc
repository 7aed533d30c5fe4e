#include "cluster/move.h"

#include <span>
#include <utility>

#include "cluster/etcd_json.h"

namespace terrace::cluster {
namespace {

constexpr const char* kTransaction = "/v3/kv/txn";

Task<Result<EtcdAnswer>> transaction(EtcdClient& client, std::string body, Time deadline) {
  const Result<EtcdClient::Answer> answer = co_await client.post(kTransaction, std::move(body), deadline);
  if (!answer) co_return std::unexpected(answer.error());
  if (answer->status != 200) co_return fail(Code::kUnavailable, "etcd", "no majority takes the state now");
  co_return parse_etcd_answer(answer->body);
}

// A transaction of an attempt: fails when another attempt has begun.
Task<Result<void>> attempt_step(EtcdClient& client, std::string body, Time deadline) {
  const Result<EtcdAnswer> answer = co_await transaction(client, std::move(body), deadline);
  if (!answer) co_return std::unexpected(answer.error());
  if (!answer->succeeded)
    co_return fail(Code::kUnavailable, "etcd", "another attempt to move the state has begun");
  co_return Result<void>();
}

// The revision of a key of ours; 0 when it is not there.
Task<Result<int64_t>> revision_of(EtcdClient& client, std::string_view key, Time deadline) {
  const Result<EtcdAnswer> answer = co_await transaction(client, etcd_read_key(key), deadline);
  if (!answer) co_return std::unexpected(answer.error());
  if (answer->ranges.size() != 1) co_return fail(Code::kInvalid, "etcd", "an odd answer");
  co_return answer->ranges[0].empty() ? 0 : answer->ranges[0][0].revision;
}

// The revision by which this attempt is known; those before it can write nothing any more.
Task<Result<int64_t>> begin_attempt(EtcdClient& client, std::string name, Time deadline) {
  const Result<int64_t> before = co_await revision_of(client, kEtcdAttempt, deadline);
  if (!before) co_return before;
  const Result<EtcdAnswer> begun =
      co_await transaction(client, etcd_put_key(kEtcdAttempt, name, *before), deadline);
  if (!begun) co_return std::unexpected(begun.error());
  if (!begun->succeeded)
    co_return fail(Code::kUnavailable, "etcd", "another attempt to move the state has begun");
  co_return begun->revision;
}

// How many of the first entries go into one transaction.
size_t part_of(std::span<const Entry> entries) {
  size_t count = 0;
  size_t bytes = 0;
  for (const Entry& entry : entries) {
    bytes += entry.key.size() + entry.value.size();
    if (count == kCommitPartsMax || bytes > kCommitBytesMax) break;
    ++count;
  }
  return count;
}

Task<Result<void>> copy(EtcdClient& client, const Snapshot& all, int64_t attempt, Time deadline) {
  Result<void> done = co_await attempt_step(client, etcd_attempt_clear(attempt), deadline);
  std::span<const Entry> left = all.entries;
  while (done && !left.empty()) {
    const size_t part = part_of(left);
    done = co_await attempt_step(client, etcd_attempt_copy(left.first(part), attempt), deadline);
    left = left.subspan(part);
  }
  co_return done;
}

Task<Result<EtcdView>> look(EtcdClient& client, Time deadline) {
  const Result<EtcdAnswer> answer = co_await transaction(client, etcd_read_key(kEtcdPlacement), deadline);
  if (!answer) co_return std::unexpected(answer.error());
  co_return etcd_view(*answer);
}

}  // namespace

Task<Result<void>> move_to_etcd(EtcdClient& client, Snapshot all, Placement target, Time deadline) {
  const Result<int64_t> attempt = co_await begin_attempt(client, to_json(target), deadline);
  if (!attempt) co_return std::unexpected(attempt.error());
  // Only now: an attempt before this one can no longer end behind our back.
  const Result<EtcdView> view = co_await look(client, deadline);
  if (!view) co_return std::unexpected(view.error());
  if (view->revision > 0 && view->placement.generation >= target.generation) {
    if (view->placement == target) co_return Result<void>();
    co_return fail(Code::kInvalid, "etcd", "it holds a newer state than ours");
  }
  const Result<void> copied = co_await copy(client, all, *attempt, deadline);
  if (!copied) co_return copied;
  Result<void> ended =
      co_await attempt_step(client, etcd_attempt_end(target, view->revision, *attempt), deadline);
  co_return ended;
}

Task<Result<Snapshot>> leave_etcd(EtcdClient& client, Placement target, Time deadline) {
  const Result<EtcdAnswer> answer = co_await transaction(client, etcd_list(""), deadline);
  if (!answer) co_return std::unexpected(answer.error());
  const Result<EtcdView> view = etcd_view(*answer);
  if (!view || answer->ranges.size() != 2) co_return fail(Code::kInvalid, "etcd", "an odd answer");
  if (view->placement != target) co_return fail(Code::kInvalid, "etcd", "the state is to go elsewhere");
  // Versions go on from those that etcd gave.
  const Version base = target.base;
  Result<std::vector<Entry>> entries = etcd_entries(answer->ranges[1], base);
  if (!entries) co_return std::unexpected(entries.error());
  co_return Snapshot{.version = base + answer->revision, .entries = std::move(*entries)};
}

}  // namespace terrace::cluster

#pragma once

// The shared state in etcd, as texts of its JSON gateway (etcd 3.4, /v3): keys and values
// are base64, 64-bit numbers strings, what is zero, false or empty is left out. No network.
//
// An entry "site" is etcd's key "terrace/entry/site"; its version is the base of the
// placement plus etcd's mod_revision. The placement itself is a key beside them, and
// every read and write looks at it in the same transaction: once the state has moved
// away, nothing is read or written here any more, whoever still believes otherwise.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/placement.h"
#include "cluster/state.h"

namespace terrace::cluster {

constexpr std::string_view kEtcdEntries = "terrace/entry/";
constexpr std::string_view kEtcdPlacement = "terrace/placement";
// Whose attempt to move the state to etcd is the one that may still end (move.h).
constexpr std::string_view kEtcdAttempt = "terrace/attempt";

// What a client knows of the placement in etcd.
struct EtcdView {
  Placement placement;
  int64_t revision = 0;  // of the placement's key; 0: there is none
};

// POST /v3/kv/txn.
std::string etcd_commit(const Commit& commit, const EtcdView& view);
// Whether a condition of the commit can never hold in etcd, because its version is of
// before the move: such a commit is refused without being sent.
bool etcd_refuses(const Commit& commit, const EtcdView& view);
std::string etcd_get(std::string_view key);
std::string etcd_list(std::string_view prefix);
// Placement, the entries changed after `revision`, and the keys of all of them; of one
// moment, from this member's own disk, be it behind the others or not.
std::string etcd_changes(int64_t revision);
// Nothing but the revision; `newest`: as a majority knows it, else as this member does.
// POST /v3/kv/range.
std::string etcd_revision(bool newest);
// Writes `value` to a key of ours beside the entries when its mod_revision is `revision`.
std::string etcd_put_key(std::string_view key, std::string_view value, int64_t revision);

// One of our keys beside the entries.
std::string etcd_read_key(std::string_view key);
// Of an attempt to move the state here (move.h), which needs its own key unchanged: removes
// all entries, writes some, ends with the placement.
std::string etcd_attempt_clear(int64_t attempt);
std::string etcd_attempt_copy(std::span<const Entry> entries, int64_t attempt);
std::string etcd_attempt_end(const Placement& placement, int64_t placement_revision, int64_t attempt);

struct EtcdEntry {
  std::string key;
  std::string value;
  int64_t revision = 0;  // mod_revision
  bool operator==(const EtcdEntry&) const = default;
};

struct EtcdAnswer {
  int64_t revision = 0;  // of the whole store
  bool succeeded = false;
  std::vector<std::vector<EtcdEntry>> ranges;  // one per range that was asked, in order
};
// The body of an answer with status 200 to any of the above.
Result<EtcdAnswer> parse_etcd_answer(std::string_view body);

struct EtcdFailure {
  int code = 0;  // of gRPC; 0: not said
  std::string text;
};
// The body of any other answer.
EtcdFailure parse_etcd_failure(std::string_view body);
// What such an answer to a transaction means. kInvalid, kUnavailable: certainly not carried
// out. kTimeout: it may have been, or may be yet.
Error meaning_of(const EtcdFailure& failure);

// The view from the first range of an answer; revision 0 when there is no placement.
Result<EtcdView> etcd_view(const EtcdAnswer& answer);
// Entries of ours from a range of an answer; kInvalid for what can be none.
Result<std::vector<Entry>> etcd_entries(const std::vector<EtcdEntry>& range, Version base);

// /v3/cluster/member/list and /add.
struct EtcdMember {
  uint64_t id = 0;
  std::string name;  // empty until it has started once
  std::string peer_url;
  bool learner = false;
  bool operator==(const EtcdMember&) const = default;
};
Result<std::vector<EtcdMember>> parse_etcd_members(std::string_view body);

}  // namespace terrace::cluster

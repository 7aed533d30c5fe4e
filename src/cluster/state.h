#pragma once

// What the servers of a site share: the applied site file and its versions, the
// release, who is drained, which certificates are revoked. Small values under keys,
// each with a version; writes are conditional on versions; changes can be followed.
//
// Promises of every back end (coordinator.h, etcd_state.h, remote_state.h):
// - Reads and writes are linearizable: get() and list() see each commit that was
//   answered before they were asked. Who may read something older asks a LastCopy.
// - A commit happens whole or not at all, and is on disk before it is answered
//   (with etcd: on the disks of a majority).
// - A version is never used twice, not even after a move to another back end: an entry
//   that was removed and made again has a new one, so compare-and-swap has no ABA.
// - A change of [servers] never loses an answered commit.
//
// When nobody holds the state at the moment, calls fail by their deadline; servers go on
// with their last copy.
//
// Thread: everything belongs to the reactor it was made with.

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "reactor/task.h"

namespace terrace::cluster {

// A key is 1 to kKeyBytesMax bytes of a-z A-Z 0-9 . _ - with single slashes between
// its parts: "site", "servers/web1".
constexpr size_t kKeyBytesMax = 256;
constexpr size_t kValueBytesMax = 1 << 20;
// All keys and values together: every server holds them in memory and on disk.
constexpr size_t kStateBytesMax = 8 << 20;
constexpr size_t kEntriesMax = 4096;
// Conditions and writes of one commit, each, and the bytes of its keys and values.
constexpr size_t kCommitPartsMax = 32;
constexpr size_t kCommitBytesMax = 2 << 20;

// Counts the commits of a site. 0 is before the first one.
using Version = int64_t;

struct Entry {
  std::string key;
  std::string value;
  Version version = 0;  // of the commit that wrote it
  bool operator==(const Entry&) const = default;
};

// What a commit needs to hold: that the entry still has this version; 0: that there is none.
struct Condition {
  std::string key;
  Version version = 0;
  bool operator==(const Condition&) const = default;
};

struct Write {
  std::string key;
  std::optional<std::string> value;  // none: the entry is removed, if it is there
  bool operator==(const Write&) const = default;
};

// No key twice among the writes.
struct Commit {
  std::vector<Condition> conditions;
  std::vector<Write> writes;
  bool operator==(const Commit&) const = default;
};

enum class Outcome : uint8_t {
  kDone,
  kRefused,      // a condition did not hold: nothing was written
  kUnknown,      // it may have been written, or may be yet: read before you try again
  kUnavailable,  // nothing was written, nobody could: try again
  kInvalid,      // against the limits above: nothing was written
};
// "done", "refused", …
std::string_view name_of(Outcome outcome);

struct [[nodiscard]] Committed {
  Outcome outcome = Outcome::kUnavailable;
  Version version = 0;  // kDone: of all entries that it wrote
  std::string text;     // else why, for a person
  bool done() const { return outcome == Outcome::kDone; }
  bool operator==(const Committed&) const = default;
};

// The entries under a prefix, in the order of their keys, at one moment.
struct Snapshot {
  Version version = 0;  // of the last commit of the site that it includes
  std::vector<Entry> entries;
  const Entry* find(std::string_view key) const;
  bool operator==(const Snapshot&) const = default;
};

// How the entries under a prefix went from one moment to a later one; every moment
// shown is one that the state really had. Two commits in quick succession may come as
// one change: then only the later value is told.
struct Changes {
  bool whole = false;   // `entries` are all that there are; forget what you knew
  Version version = 0;  // of the last commit that is included
  std::vector<Entry> entries;
  std::vector<std::string> removed;
  bool operator==(const Changes&) const = default;
};

// Follows a prefix. Destroying it ends that; nobody may be waiting in next() then.
class StateWatch {
 public:
  virtual ~StateWatch() = default;
  // The first answer is whole; each later one what changed since. After a gap, such as
  // a lost connection, it is whole again. kTimeout when nothing happened by the deadline:
  // ask again. kUnavailable: nobody to ask at the moment, said by the deadline at the
  // latest; ask again after a pause.
  virtual Task<Result<Changes>> next(Time deadline) = 0;
};

class State {
 public:
  virtual ~State() = default;

  // None: no such entry. Errors: kUnavailable, kTimeout, kInvalid.
  virtual Task<Result<std::optional<Entry>>> get(std::string key, Time deadline) = 0;
  // All entries whose key begins with `prefix`; "" is all.
  virtual Task<Result<Snapshot>> list(std::string prefix, Time deadline) = 0;
  // Ends by the deadline, then with kUnknown or kUnavailable.
  virtual Task<Committed> commit(Commit commit, Time deadline) = 0;
  virtual std::unique_ptr<StateWatch> watch(std::string prefix) = 0;

  // A commit of one write that needs the entry to have the version `expected`; 0: to be absent.
  Task<Committed> put(std::string key, std::string value, Version expected, Time deadline);
  Task<Committed> remove(std::string key, Version expected, Time deadline);
};

bool is_key(std::string_view text);
// A prefix is empty or the beginning of a key.
bool is_prefix(std::string_view text);
// Null when the commit keeps the limits, else what is wrong.
const char* objection_to(const Commit& commit);

}  // namespace terrace::cluster

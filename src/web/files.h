#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "reactor/mailbox.h"
#include "reactor/offload.h"
#include "web/cache.h"
#include "web/changes.h"
#include "web/load.h"
#include "web/missing.h"
#include "web/representation.h"

namespace terrace::web {

// What a path was found to be.
struct Found {
  enum class Status : uint8_t {
    kEntry,    // a file, or a folder with an index file
    kMissing,  // nothing to serve
    kRefused,  // something that is never served
    kPending,  // the disk must be waited for: load()
    kFailed,   // the disk failed, or too many wait for it
  };
  Status status = Status::kMissing;
  EntryRef entry;
};

// The files of a site as one core sees them: cache, disk and what tells that the
// disk changed.
class Files {
 public:
  Files(Reactor& reactor, const topology::WebTable& web, Folder folder, const Representation& representation,
        const Limits& limits, Metrics& metrics);
  // Learns of changes at once from now on; without inotify only within kFreshFor.
  // close() before destruction.
  void watch(const Log& log);

  // Never blocks: looks at the disk only as far as the kernel has it in memory.
  Found find(std::string_view path);
  // Waits for the disk; never gives kPending.
  Task<Found> load(std::string path);
  // The entry in that coding, made now if need be; null when that was not possible
  // or did not make it smaller. The entry must be one that compresses.
  Task<const Variant*> compressed(EntryRef entry, Coding coding);

  Task<void> close() { return changes_.close(); }

 private:
  bool is_fresh(const Entry& entry) const;
  Result<Loaded> look(std::string_view path, const std::optional<Identities>& known, Patience patience) const;
  std::optional<Identities> known_identities(std::string_view path) const;
  Found adopt(std::string_view path, Result<Loaded> loaded, Time started, uint64_t generation);
  void remember_missing(std::string_view path, Time started, uint64_t generation);
  Task<Found> load_blocking(const std::string& path);
  Task<const Variant*> compress_blocking(EntryRef entry, Coding coding);

  Reactor& reactor_;
  Folder folder_;
  const std::vector<std::string>& index_;
  Limits limits_;
  Metrics& metrics_;
  const Representation& representation_;
  Cache cache_;
  Missing missing_;
  Changes changes_;
  Offload loader_;
  // Loads and compressions under way, by path (and coding): who asks for the same waits for them.
  std::unordered_map<std::string, Event*> under_way_;
};

}  // namespace terrace::web

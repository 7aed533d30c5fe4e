#include "web/files.h"

#include "web/compress.h"

namespace terrace::web {
namespace {

// How often a waiter looks again when what it waited for changed meanwhile.
constexpr int kRoundsMax = 4;

class LoadWork final : public Offload::Work {
 public:
  explicit LoadWork(const LoadRequest& request) : request_(request) {}
  void run() override { result = load_path(request_, Patience::kMayBlock); }
  std::optional<Result<Loaded>> result;

 private:
  LoadRequest request_;
};

// Compresses what is in memory, or reads it first: a file that changed since the
// entry was made is left alone.
class CompressWork final : public Offload::Work {
 public:
  CompressWork(const Variant& original, Coding coding) : original_(original), coding_(coding) {}
  void run() override {
    if (original_.in_memory) {
      result = compress(original_.content, coding_);
      return;
    }
    const Result<std::string> content =
        read_content(original_.file.get(), original_.size, Patience::kMayBlock);
    struct stat status{};
    if (!content || ::fstat(original_.file.get(), &status) != 0) return;
    if (identity_of(status) == original_.identity) result = compress(*content, coding_);
  }
  std::optional<std::string> result;

 private:
  const Variant& original_;
  Coding coding_;
};

bool has_changed(const Variant& variant) {
  struct stat status{};
  return ::fstat(variant.file.get(), &status) != 0 || identity_of(status) != variant.identity;
}

}  // namespace

Files::Files(Reactor& reactor, const topology::WebTable& web, Folder folder,
             const Representation& representation, const Limits& limits, Metrics& metrics)
    : reactor_(reactor),
      folder_(std::move(folder)),
      index_(web.index),
      limits_(limits),
      metrics_(metrics),
      representation_(representation),
      cache_(limits, metrics),
      missing_(reactor.random(), kFreshFor),
      changes_(reactor, web.files, limits.folders_watched_max),
      loader_(reactor, limits.loads_max) {}

void Files::watch(const Log& log) {
  const Result<void> watching = changes_.start();
  if (watching) return;
  log.warning("changed files are seen late: no inotify", {{"reason", describe(watching.error())}});
}

bool Files::is_fresh(const Entry& entry) const {
  if (entry.generation != changes_.generation() || reactor_.now() - entry.checked >= kFreshFor) return false;
  if (entry.descriptors == 0) return true;
  // An open file shows changes at once, while its head was prepared before them.
  for (const std::unique_ptr<Variant>& variant : entry.variants) {
    if (variant != nullptr && !variant->in_memory && has_changed(*variant)) return false;
  }
  return true;
}

Found Files::find(std::string_view path) {
  Entry* entry = cache_.find(path);
  if (entry != nullptr && is_fresh(*entry)) {
    metrics_.hits.add();
    return {.status = Found::Status::kEntry, .entry = EntryRef(entry)};
  }
  const Time now = reactor_.now();
  if (entry == nullptr && missing_.contains(path, now, changes_.generation())) return {};
  changes_.watch_folders_of(path);
  const uint64_t generation = changes_.generation();
  return adopt(path, look(path, known_identities(path), Patience::kCachedOnly), now, generation);
}

std::optional<Identities> Files::known_identities(std::string_view path) const {
  const Entry* entry = cache_.find(path);
  if (entry == nullptr || entry->is_folder || entry->young) return std::nullopt;
  return entry->identities;
}

Result<Loaded> Files::look(std::string_view path, const std::optional<Identities>& known,
                           Patience patience) const {
  metrics_.loads.add();
  const LoadRequest request{.folder = folder_,
                            .index = index_,
                            .path = path,
                            .content_bytes_max = limits_.content_bytes_max,
                            .known = known};
  return load_path(request, patience);
}

// Makes what the disk said known, as of when looking at it `started`.
Found Files::adopt(std::string_view path, Result<Loaded> loaded, Time started, uint64_t generation) {
  if (!loaded) {
    if (loaded.error().code == Code::kWouldBlock) return {.status = Found::Status::kPending};
    return {.status = Found::Status::kFailed};
  }
  switch (loaded->opened.kind) {
    case Opened::Kind::kMissing:
      cache_.erase(path);
      remember_missing(path, started, generation);
      return {};
    case Opened::Kind::kRefused:
      cache_.erase(path);
      return {.status = Found::Status::kRefused};
    case Opened::Kind::kFolder:
    case Opened::Kind::kFile:
      break;
  }
  Entry* known = cache_.find(path);
  if (loaded->unchanged && known != nullptr) {
    cache_.refresh(*known, started, generation);
    return {.status = Found::Status::kEntry, .entry = EntryRef(known)};
  }
  Found found{.status = Found::Status::kEntry, .entry = representation_.make_entry(path, std::move(*loaded))};
  found.entry->checked = started;
  found.entry->generation = generation;
  cache_.insert(found.entry);
  return found;
}

// When not even the first folder of the path is there, the next path beneath it
// needs no look at the disk either.
void Files::remember_missing(std::string_view path, Time started, uint64_t generation) {
  const std::string_view first = Missing::first_folder(path);
  if (first.size() != path.size()) {
    const Result<Descriptor> folder = folder_.open_beneath(first, Patience::kCachedOnly);
    if (!folder && folder.error().code == Code::kNotFound) {
      missing_.add_first_folder(path, started, generation);
      return;
    }
  }
  missing_.add(path, started, generation);
}

Task<Found> Files::load(std::string path) {
  for (int round = 0; round < kRoundsMax; ++round) {
    const auto other = under_way_.find(path);
    if (other == under_way_.end()) break;
    co_await other->second->wait();
    Found found = find(path);
    if (found.status != Found::Status::kPending) co_return found;
  }
  Event done(reactor_);
  const bool first = under_way_.emplace(path, &done).second;
  Found found = co_await load_blocking(path);
  if (first) under_way_.erase(path);
  done.set();
  co_return found;
}

Task<Found> Files::load_blocking(const std::string& path) {
  metrics_.loads_blocked.add();
  const Time started = reactor_.now();
  const uint64_t generation = changes_.generation();
  const std::optional<Identities> known;  // the entry may leave the cache meanwhile: read anew
  LoadWork work({.folder = folder_,
                 .index = index_,
                 .path = path,
                 .content_bytes_max = limits_.content_bytes_max,
                 .known = known});
  const bool ran = co_await loader_.call(work);
  if (!ran) {
    metrics_.loads_refused.add();
    co_return Found{.status = Found::Status::kFailed};
  }
  // Somebody may have found it in the kernel's cache meanwhile: one entry for both.
  if (Entry* found = cache_.find(path); found != nullptr && found->checked >= started && is_fresh(*found))
    co_return Found{.status = Found::Status::kEntry, .entry = EntryRef(found)};
  co_return adopt(path, std::move(*work.result), started, generation);
}

Task<const Variant*> Files::compressed(EntryRef entry, Coding coding) {
  // A path begins with a slash, so this is no path.
  std::string key(coding_name(coding));
  key += entry->path;
  for (auto other = under_way_.find(key); other != under_way_.end(); other = under_way_.find(key)) {
    co_await other->second->wait();
    // The one that was waited for may have been of another entry, which this one replaced.
    const Variant* made = entry->variant(coding);
    if (made != nullptr || entry->useless.has(coding)) co_return made;
  }
  Event done(reactor_);
  under_way_.emplace(key, &done);
  const Variant* made = co_await compress_blocking(entry, coding);
  under_way_.erase(key);
  done.set();
  co_return made;
}

Task<const Variant*> Files::compress_blocking(EntryRef entry, Coding coding) {
  metrics_.compressions.add();
  CompressWork work(*entry->variant(Coding::kIdentity), coding);
  const bool ran = co_await loader_.call(work);
  if (!ran) co_return nullptr;
  if (!work.result) {
    entry->useless.add(coding);
    co_return nullptr;
  }
  std::unique_ptr<Variant>& place = entry->variants[static_cast<size_t>(coding)];
  place = representation_.make_compressed(*entry, coding, std::move(*work.result));
  cache_.grew(*entry, place->content.size());
  co_return place.get();
}

}  // namespace terrace::web

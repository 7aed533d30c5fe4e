#include "cluster/entries.h"

#include <algorithm>

#include "base/assert.h"

namespace terrace::cluster {
namespace {

size_t bytes_of(const Entry& entry) { return entry.key.size() + entry.value.size(); }

Committed refused(const char* text) { return {.outcome = Outcome::kRefused, .text = text}; }

}  // namespace

Entries::Entries(const Snapshot& all) {
  for (const Entry& entry : all.entries) set(entry);
  version_ = complete_since_ = all.version;
}

const Entry* Entries::find(std::string_view key) const {
  const auto at = entries_.find(key);
  return at == entries_.end() ? nullptr : &at->second;
}

Snapshot Entries::list(std::string_view prefix) const {
  Snapshot snapshot{.version = version_};
  for (auto at = entries_.lower_bound(prefix); at != entries_.end() && at->first.starts_with(prefix); ++at)
    snapshot.entries.push_back(at->second);
  return snapshot;
}

Committed Entries::judge(const Commit& commit) const {
  if (const char* objection = objection_to(commit)) return {.outcome = Outcome::kInvalid, .text = objection};
  for (const Condition& condition : commit.conditions) {
    const Entry* entry = find(condition.key);
    if (condition.version == 0 && entry != nullptr) return refused("it exists already");
    if (condition.version != 0 && entry == nullptr) return refused("it does not exist");
    if (entry != nullptr && entry->version != condition.version) return refused("it was changed meanwhile");
  }
  size_t bytes = bytes_;
  size_t count = entries_.size();
  for (const Write& write : commit.writes) {
    const Entry* entry = find(write.key);
    if (entry != nullptr) bytes -= bytes_of(*entry);
    if (entry != nullptr) --count;
    if (write.value) bytes += write.key.size() + write.value->size();
    if (write.value) ++count;
  }
  // What makes it smaller is taken even when the limits are passed already.
  if (bytes > kStateBytesMax && bytes > bytes_)
    return {.outcome = Outcome::kInvalid, .text = "the shared state is full"};
  if (count > kEntriesMax && count > entries_.size())
    return {.outcome = Outcome::kInvalid, .text = "too many entries in the shared state"};
  return {.outcome = Outcome::kDone, .version = version_ + 1};
}

void Entries::write(const Commit& commit) {
  const Version version = version_ + 1;
  for (const Write& write : commit.writes) {
    if (write.value) {
      set({write.key, *write.value, version});
    } else {
      erase(write.key, version);
    }
  }
  version_ = version;
}

bool Entries::follow(const Changes& changes) {
  if (changes.version < version_) return false;
  if (changes.whole) {
    Snapshot all{.version = changes.version, .entries = changes.entries};
    *this = Entries(all);
    return true;
  }
  for (const Entry& entry : changes.entries) set(entry);
  for (const std::string& key : changes.removed) erase(key, changes.version);
  version_ = changes.version;
  return true;
}

void Entries::set(Entry entry) {
  std::erase_if(removals_, [&](const Removal& removal) { return removal.key == entry.key; });
  const auto at = entries_.find(entry.key);
  if (at != entries_.end()) bytes_ -= bytes_of(at->second);
  bytes_ += bytes_of(entry);
  std::string key = entry.key;
  entries_.insert_or_assign(std::move(key), std::move(entry));
}

void Entries::erase(const std::string& key, Version version) {
  const auto at = entries_.find(key);
  if (at == entries_.end()) return;
  bytes_ -= bytes_of(at->second);
  entries_.erase(at);
  removals_.push_back({key, version});
  if (removals_.size() <= kRemovalsMax) return;
  complete_since_ = removals_.front().version;
  removals_.erase(removals_.begin());
}

Changes Entries::since(std::string_view prefix, Version since) const {
  if (since <= 0 || since < complete_since_) {
    Snapshot all = list(prefix);
    return {.whole = true, .version = all.version, .entries = std::move(all.entries)};
  }
  Changes changes{.version = version_};
  for (auto at = entries_.lower_bound(prefix); at != entries_.end() && at->first.starts_with(prefix); ++at) {
    if (at->second.version > since) changes.entries.push_back(at->second);
  }
  for (const Removal& removal : removals_) {
    if (removal.version > since && removal.key.starts_with(prefix)) changes.removed.push_back(removal.key);
  }
  return changes;
}

bool Entries::changed_since(std::string_view prefix, Version since) const {
  if (since <= 0) return true;
  // Who knows more has asked somebody before who is ahead of us.
  if (since >= version_) return false;
  if (since < complete_since_) return true;
  const auto removed = [&](const Removal& removal) {
    return removal.version > since && removal.key.starts_with(prefix);
  };
  if (std::ranges::any_of(removals_, removed)) return true;
  for (auto at = entries_.lower_bound(prefix); at != entries_.end() && at->first.starts_with(prefix); ++at) {
    if (at->second.version > since) return true;
  }
  return false;
}

}  // namespace terrace::cluster

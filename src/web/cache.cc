#include "web/cache.h"

namespace terrace::web {

Cache::~Cache() {
  while (oldest_ != nullptr) remove(*oldest_);
}

Entry* Cache::find(std::string_view path) const {
  const auto found = entries_.find(path);
  return found == entries_.end() ? nullptr : found->second.get();
}

void Cache::insert(const EntryRef& entry) {
  erase(entry->path);
  entries_.emplace(entry->path, entry);
  entry->cached = true;
  link(*entry);
  bytes_ += entry->bytes;
  descriptors_ += static_cast<size_t>(entry->descriptors);
  metrics_.entries.add();
  metrics_.content_bytes.add(static_cast<int64_t>(entry->bytes));
  evict();
}

void Cache::erase(std::string_view path) {
  if (Entry* entry = find(path)) remove(*entry);
}

void Cache::refresh(Entry& entry, Time now, uint64_t generation) {
  entry.checked = now;
  entry.generation = generation;
  if (!entry.cached) return;
  unlink(entry);
  link(entry);
}

void Cache::grew(Entry& entry, size_t bytes) {
  entry.bytes += bytes;
  if (!entry.cached) return;
  bytes_ += bytes;
  metrics_.content_bytes.add(static_cast<int64_t>(bytes));
  evict();
}

void Cache::link(Entry& entry) {
  entry.newer = nullptr;
  entry.older = newest_;
  (newest_ != nullptr ? newest_->newer : oldest_) = &entry;
  newest_ = &entry;
}

void Cache::unlink(Entry& entry) {
  (entry.newer != nullptr ? entry.newer->older : newest_) = entry.older;
  (entry.older != nullptr ? entry.older->newer : oldest_) = entry.newer;
}

void Cache::remove(Entry& entry) {
  unlink(entry);
  entry.cached = false;
  bytes_ -= entry.bytes;
  descriptors_ -= static_cast<size_t>(entry.descriptors);
  metrics_.entries.subtract();
  metrics_.content_bytes.subtract(static_cast<int64_t>(entry.bytes));
  const auto found = entries_.find(entry.path);
  const EntryRef last = std::move(found->second);  // the key is the entry's own path
  entries_.erase(found);
}

void Cache::evict() {
  while (over_limit() && oldest_ != nullptr) {
    metrics_.evictions.add();
    remove(*oldest_);
  }
}

bool Cache::over_limit() const {
  return entries_.size() > limits_.entries_max || bytes_ > limits_.cache_bytes_max ||
         descriptors_ > limits_.descriptors_max;
}

}  // namespace terrace::web

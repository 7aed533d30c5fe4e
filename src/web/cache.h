#pragma once

#include <string_view>
#include <unordered_map>

#include "web/entry.h"
#include "web/file_server.h"

namespace terrace::web {

// The entries of one core by path, within the Limits; over one of them, those go
// first that were looked at least recently. An entry that is in use lives on
// outside until its last answer ends.
class Cache {
 public:
  Cache(const Limits& limits, Metrics& metrics) : limits_(limits), metrics_(metrics) {}
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  // Fresh or not; null when there is none.
  Entry* find(std::string_view path) const;
  // In place of the one with the same path. It may be evicted at once when it is too large.
  void insert(const EntryRef& entry);
  void erase(std::string_view path);
  // The entry was looked at again and is the last to go.
  void refresh(Entry& entry, Time now, uint64_t generation);
  // A variant was added to the entry, which may have left the cache meanwhile.
  void grew(Entry& entry, size_t bytes);

 private:
  void link(Entry& entry);
  void unlink(Entry& entry);
  void remove(Entry& entry);
  void evict();
  bool over_limit() const;

  Limits limits_;
  Metrics& metrics_;
  std::unordered_map<std::string_view, EntryRef> entries_;  // keys are the entries' own paths
  Entry* newest_ = nullptr;
  Entry* oldest_ = nullptr;
  size_t bytes_ = 0;
  size_t descriptors_ = 0;
};

}  // namespace terrace::web

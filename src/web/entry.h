#pragma once

#include <array>
#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/descriptor.h"
#include "http/message.h"
#include "web/accept_encoding.h"
#include "web/content_type.h"
#include "web/folder.h"

namespace terrace::web {

// One representation of a file: its bytes in one coding, with the fields of its
// 200 answer prepared. Immutable.
struct Variant {
  Coding coding = Coding::kIdentity;
  uint64_t size = 0;  // bytes
  bool in_memory = false;
  std::string content;    // when in memory
  Descriptor file;        // when not
  FileIdentity identity;  // of the file that it came from
  std::string etag;
  std::vector<http::Field> fields;  // of a 200
};

// What a path was found to be. Lives while the cache or an answer under way holds
// it; a changed file gets a new entry.
struct Entry {
  std::string path;        // that names it
  bool is_folder = false;  // redirect to the path with a slash; no variants
  ContentType type;
  std::string_view cache_control;
  std::array<char, 29> last_modified{};
  std::time_t modified = 0;
  bool compresses = false;  // codings without a sibling are made when asked for
  bool negotiates = false;  // the answer depends on Accept-Encoding
  // Looked at so soon after its change that the next change could leave the same
  // times: not trusted to be the same later.
  bool young = false;
  CodingSet siblings;                                       // codings of files compressed beforehand
  CodingSet useless;                                        // codings that did not make it smaller
  std::array<std::unique_ptr<Variant>, kCodings> variants;  // made ones; identity always
  std::array<std::optional<FileIdentity>, kCodings> identities;

  // Of the cache.
  Time checked;
  uint64_t generation = 0;
  size_t bytes = 0;  // in memory
  int descriptors = 0;
  bool cached = false;
  Entry* newer = nullptr;  // in order of last check
  Entry* older = nullptr;

  const Variant* variant(Coding coding) const { return variants[static_cast<size_t>(coding)].get(); }

 private:
  friend class EntryRef;
  uint32_t references_ = 0;
};

// Keeps an entry alive. A plain count: entries belong to one core.
class EntryRef {
 public:
  EntryRef() = default;
  explicit EntryRef(Entry* entry) : entry_(entry) {
    if (entry_ != nullptr) ++entry_->references_;
  }
  EntryRef(const EntryRef& other) : EntryRef(other.entry_) {}
  EntryRef(EntryRef&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
  EntryRef& operator=(EntryRef other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~EntryRef() {
    if (entry_ != nullptr && --entry_->references_ == 0) delete entry_;
  }

  Entry* get() const { return entry_; }
  Entry& operator*() const { return *entry_; }
  Entry* operator->() const { return entry_; }
  explicit operator bool() const { return entry_ != nullptr; }

 private:
  Entry* entry_ = nullptr;
};

}  // namespace terrace::web

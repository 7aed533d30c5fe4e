#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "topology/site.h"
#include "web/entry.h"
#include "web/load.h"

namespace terrace::web {

// How [web] says that files are represented: the fields of their answers, what is
// compressed. Views point into the WebTable, which must outlive this and all entries.
class Representation {
 public:
  // A smaller file is not worth compressing: its head is larger than the gain.
  static constexpr uint64_t kCompressBytesMin = 256;
  // Of [web] headers; more do not fit beside our own and the app's.
  static constexpr size_t kExtraFieldsMax = 48;

  Representation(const topology::WebTable& web, uint64_t compress_bytes_max);

  // An entry for what was loaded, which is a file or a folder.
  EntryRef make_entry(std::string_view path, Loaded loaded) const;
  // A representation that was compressed here, to be added to its entry.
  std::unique_ptr<Variant> make_compressed(const Entry& entry, Coding coding, std::string content) const;

  // [web] headers.
  std::span<const http::Field> extra_fields() const { return extra_; }
  // Adds a field of ours unless [web] headers has one of that name.
  void add_field(std::vector<http::Field>& fields, std::string_view name, std::string_view value,
                 http::HeaderId id) const;
  bool overrides(std::string_view name) const;

 private:
  std::unique_ptr<Variant> make_variant(const Entry& entry, Coding coding, OpenFile file,
                                        std::optional<std::string> content) const;
  void prepare_fields(const Entry& entry, Variant& variant) const;
  std::string_view cache_control(std::string_view name, std::string_view path) const;

  const topology::WebTable& web_;
  uint64_t compress_bytes_max_;
  struct CacheRule {
    std::string pattern;
    std::string_view value;
  };
  std::vector<http::Field> extra_;
  std::vector<CacheRule> cache_rules_;
};

}  // namespace terrace::web

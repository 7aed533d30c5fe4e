#include "web/representation.h"

#include <algorithm>
#include <cstdio>

#include "base/hash.h"
#include "http/date.h"
#include "http/path_pattern.h"
#include "http/syntax.h"

namespace terrace::web {
namespace {

using http::Field;
using http::HeaderId;

// Times in a file system go on in steps, up to this long on some.
constexpr int64_t kTimeStepMaxNs = 2'000'000'000;
// The same on every server and after every start: a client may compare across them.
constexpr uint64_t kEtagKey = 0x5bd1e9955bd1e995;

std::string make_etag(uint64_t hash, Coding coding) {
  std::array<char, 20> digits{};
  const int size =
      std::snprintf(digits.data(), digits.size(), "\"%016llx", static_cast<unsigned long long>(hash));
  std::string etag(digits.data(), static_cast<size_t>(size));
  if (coding != Coding::kIdentity) etag.append("-").append(coding_name(coding));
  return etag += '"';
}

// Of the bytes where they are at hand, so that all servers of a site give one
// release the same tag; else of what a change cannot leave as it was.
uint64_t hash_of(const Variant& variant) {
  if (variant.in_memory) return hash64(variant.content, kEtagKey);
  const FileIdentity& identity = variant.identity;
  const std::array<uint64_t, 4> parts = {identity.inode, identity.size,
                                         static_cast<uint64_t>(identity.modified_ns),
                                         static_cast<uint64_t>(identity.changed_ns)};
  return hash64({reinterpret_cast<const char*>(parts.data()), sizeof parts}, kEtagKey);
}

}  // namespace

Representation::Representation(const topology::WebTable& web, uint64_t compress_bytes_max)
    : web_(web), compress_bytes_max_(compress_bytes_max) {
  for (const topology::Named& rule : web.cache) {
    cache_rules_.push_back({.pattern = http::decode_pattern(rule.name), .value = rule.value});
  }
  for (const topology::Named& header : web.headers) {
    if (extra_.size() == kExtraFieldsMax) break;
    extra_.push_back({.name = header.name,
                      .value = header.value,
                      .id = http::header_id(header.name),
                      .hop_by_hop = false});
  }
}

bool Representation::overrides(std::string_view name) const {
  return std::ranges::any_of(
      extra_, [name](const Field& field) { return http::equals_ignoring_case(field.name, name); });
}

void Representation::add_field(std::vector<Field>& fields, std::string_view name, std::string_view value,
                               HeaderId id) const {
  if (value.empty() || overrides(name)) return;
  fields.push_back({.name = name, .value = value, .id = id, .hop_by_hop = false});
}

// A pattern may mean the file ("*.html") or the path that a client sees ("/").
std::string_view Representation::cache_control(std::string_view name, std::string_view path) const {
  for (const CacheRule& rule : cache_rules_) {
    if (http::pattern_fits(rule.pattern, name) || http::pattern_fits(rule.pattern, path)) return rule.value;
  }
  return {};
}

EntryRef Representation::make_entry(std::string_view path, Loaded loaded) const {
  EntryRef entry(new Entry);
  entry->path = path;
  entry->is_folder = loaded.opened.kind == Opened::Kind::kFolder;
  if (entry->is_folder) return entry;

  OpenFiles& files = loaded.opened.files;
  const FileIdentity& original = files[0]->identity;
  entry->type = content_type(loaded.opened.name);
  entry->cache_control = cache_control(loaded.opened.name, path);
  // A time before 1970 or ahead of now makes a date that no client should build on.
  const int64_t modified_ns =
      std::clamp<int64_t>(original.modified_ns, 0, std::max<int64_t>(loaded.looked_ns, 0));
  entry->modified = modified_ns / 1'000'000'000;
  entry->last_modified = http::format_date(entry->modified);
  entry->compresses = web_.compress && entry->type.compressible && original.size >= kCompressBytesMin &&
                      original.size <= compress_bytes_max_;
  entry->identities = identities_of(files);
  entry->negotiates = entry->compresses;
  for (size_t i = 0; i < kCodings; ++i) {
    if (!files[i]) continue;
    entry->young = entry->young || files[i]->identity.changed_ns + kTimeStepMaxNs > loaded.looked_ns;
    if (i != 0) entry->siblings.add(static_cast<Coding>(i));
    entry->negotiates = entry->negotiates || i != 0;
  }
  for (size_t i = 0; i < kCodings; ++i) {
    if (!files[i]) continue;
    entry->variants[i] =
        make_variant(*entry, static_cast<Coding>(i), std::move(*files[i]), std::move(loaded.contents[i]));
    entry->bytes += entry->variants[i]->content.size();
    entry->descriptors += entry->variants[i]->in_memory ? 0 : 1;
  }
  return entry;
}

std::unique_ptr<Variant> Representation::make_variant(const Entry& entry, Coding coding, OpenFile file,
                                                      std::optional<std::string> content) const {
  auto variant = std::make_unique<Variant>();
  variant->coding = coding;
  variant->identity = file.identity;
  variant->size = content ? content->size() : file.identity.size;
  variant->in_memory = content.has_value();
  if (content) {
    variant->content = std::move(*content);
  } else {
    variant->file = std::move(file.descriptor);
  }
  variant->etag = make_etag(hash_of(*variant), coding);
  prepare_fields(entry, *variant);
  return variant;
}

std::unique_ptr<Variant> Representation::make_compressed(const Entry& entry, Coding coding,
                                                         std::string content) const {
  auto variant = std::make_unique<Variant>();
  variant->coding = coding;
  variant->identity = entry.variants[0]->identity;
  variant->size = content.size();
  variant->in_memory = true;
  variant->content = std::move(content);
  variant->etag = make_etag(hash_of(*variant), coding);
  prepare_fields(entry, *variant);
  return variant;
}

void Representation::prepare_fields(const Entry& entry, Variant& variant) const {
  std::vector<Field>& fields = variant.fields;
  fields.reserve(8 + extra_.size());
  add_field(fields, "Content-Type", entry.type.text, HeaderId::kContentType);
  if (variant.coding != Coding::kIdentity) {
    add_field(fields, "Content-Encoding", coding_name(variant.coding), HeaderId::kContentEncoding);
  }
  add_field(fields, "ETag", variant.etag, HeaderId::kETag);
  add_field(fields, "Last-Modified", {entry.last_modified.data(), entry.last_modified.size()},
            HeaderId::kLastModified);
  add_field(fields, "Cache-Control", entry.cache_control, HeaderId::kCacheControl);
  if (entry.negotiates) add_field(fields, "Vary", "Accept-Encoding", HeaderId::kVary);
  add_field(fields, "Accept-Ranges", "bytes", HeaderId::kAcceptRanges);
  add_field(fields, "X-Content-Type-Options", "nosniff", HeaderId::kOther);
  fields.insert(fields.end(), extra_.begin(), extra_.end());
}

}  // namespace terrace::web

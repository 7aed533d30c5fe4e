#include "cluster/state.h"

#include <algorithm>
#include <array>

namespace terrace::cluster {
namespace {

bool is_key_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-' || c == '/';
}

}  // namespace

std::string_view name_of(Outcome outcome) {
  static constexpr std::array<std::string_view, 5> kNames = {"done", "refused", "unknown", "unavailable",
                                                             "invalid"};
  return kNames[static_cast<size_t>(outcome)];
}

bool is_prefix(std::string_view text) {
  return text.size() <= kKeyBytesMax && !text.starts_with('/') && text.find("//") == std::string_view::npos &&
         std::ranges::all_of(text, is_key_byte);
}

bool is_key(std::string_view text) { return !text.empty() && !text.ends_with('/') && is_prefix(text); }

const char* objection_to(const Commit& commit) {
  if (commit.writes.empty()) return "nothing to write";
  if (commit.writes.size() > kCommitPartsMax) return "too many writes in one commit";
  if (commit.conditions.size() > kCommitPartsMax) return "too many conditions in one commit";
  for (const Condition& condition : commit.conditions) {
    if (!is_key(condition.key)) return "a condition on what is no key";
    if (condition.version < 0) return "a condition on what is no version";
  }
  size_t bytes = 0;
  for (const Write& write : commit.writes) {
    bytes += write.key.size() + (write.value ? write.value->size() : 0);
    if (!is_key(write.key)) return "a write to what is no key";
    if (write.value && write.value->size() > kValueBytesMax) return "a value is too large";
    if (std::ranges::count(commit.writes, write.key, &Write::key) > 1) return "two writes to one key";
  }
  if (bytes > kCommitBytesMax) return "too many bytes in one commit";
  return nullptr;
}

const Entry* Snapshot::find(std::string_view key) const {
  const auto at = std::ranges::lower_bound(entries, key, {}, &Entry::key);
  return at != entries.end() && at->key == key ? &*at : nullptr;
}

Task<Committed> State::put(std::string key, std::string value, Version expected, Time deadline) {
  Commit one;
  one.conditions.push_back({key, expected});
  one.writes.push_back({std::move(key), std::move(value)});
  return commit(std::move(one), deadline);
}

Task<Committed> State::remove(std::string key, Version expected, Time deadline) {
  Commit one;
  one.conditions.push_back({key, expected});
  one.writes.push_back({std::move(key), std::nullopt});
  return commit(std::move(one), deadline);
}

}  // namespace terrace::cluster

#pragma once

// The key space as values in memory: what a coordinator decides on, and what a copy
// follows. No clock, no disk, no network.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/state.h"

namespace terrace::cluster {

class Entries {
 public:
  // Removals that are remembered, so that who follows learns of them without a whole
  // snapshot.
  static constexpr size_t kRemovalsMax = 256;

  Entries() = default;
  // As a snapshot of everything says.
  explicit Entries(const Snapshot& all);

  Version version() const { return version_; }
  const Entry* find(std::string_view key) const;
  Snapshot list(std::string_view prefix) const;
  size_t size() const { return entries_.size(); }
  size_t bytes() const { return bytes_; }

  // What would become of the commit: kDone, kRefused or kInvalid. Changes nothing.
  Committed judge(const Commit& commit) const;
  // Writes what was judged to be done, with the next version.
  void write(const Commit& commit);

  // Takes over what another holder of the state says; false, and nothing changes, when
  // it is older than what is here.
  bool follow(const Changes& changes);

  // What happened under `prefix` after `since`; whole when that is no longer known, or
  // never was (0). Only when changed_since().
  Changes since(std::string_view prefix, Version since) const;
  // Whether since() would tell anything; never to who knows more than we.
  bool changed_since(std::string_view prefix, Version since) const;

 private:
  struct Removal {
    std::string key;
    Version version = 0;
  };
  void set(Entry entry);
  void erase(const std::string& key, Version version);

  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<Removal> removals_;  // in the order of their versions
  Version version_ = 0;
  Version complete_since_ = 0;  // removals after this one are all in removals_
  size_t bytes_ = 0;
};

}  // namespace terrace::cluster

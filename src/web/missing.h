#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"

namespace terrace::web {

// Paths that were found to name no file, so that requests for the app cost no
// system call. A table of fixed size where a newer path takes the place of an
// older one. Paths are known by a 64-bit hash whose key nobody outside knows.
class Missing {
 public:
  static constexpr size_t kSlots = 8192;

  // `fresh_for`: how long a look at the disk is trusted.
  Missing(Random& random, Duration fresh_for);

  // Whether the path, or the first folder in it, was missing a short while ago and
  // nothing has changed since (`generation` is the same).
  bool contains(std::string_view path, Time now, uint64_t generation) const;
  void add(std::string_view path, Time now, uint64_t generation);
  // Nothing is beneath the first folder of `path` either, nor is it a file.
  void add_first_folder(std::string_view path, Time now, uint64_t generation);

  // "/api" of "/api/users/1".
  static std::string_view first_folder(std::string_view path) { return path.substr(0, path.find('/', 1)); }

 private:
  struct Slot {
    uint64_t hash = 0;
    uint64_t generation = 0;
    Time checked;
  };
  bool known(uint64_t hash, Time now, uint64_t generation) const;
  static uint64_t hash(std::string_view path, uint64_t key);

  uint64_t path_key_;
  uint64_t folder_key_;
  Duration fresh_for_;
  std::vector<Slot> slots_;
};

}  // namespace terrace::web

#pragma once

// Limits of memory and processes for an instance as a whole, by control groups:
// version 1 (a hierarchy per controller) and version 2 (one for all), cgroups(7).
//
// An instance's group is terrace/<site>.<supervisor's pid>/<instance> below our own
// group, or below the root of the hierarchy where ours has other inhabitants
// (version 2 allows limits on leaves only). It is removed when the instance ended;
// what a killed supervisor left behind is removed by the next one.
//
// Used by the supervisor's thread only.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "program/records.h"

namespace terrace::program {

// A mounted hierarchy: where its groups are, and where ours is in it.
struct Hierarchy {
  std::string controller;  // "memory", "pids"; empty for version 2
  std::string folder;      // absolute: our own group's
  std::string root;        // absolute: the mount point
};

// What /proc/self/mountinfo and /proc/self/cgroup say, as texts (proc(5)).
std::vector<Hierarchy> hierarchies_of(std::string_view mountinfo, std::string_view cgroup);

// Of version 1 those with one of `controllers`, then version 2, each with our group.
std::vector<Hierarchy> mounted_hierarchies(std::string_view mountinfo, std::string_view cgroup,
                                           std::initializer_list<std::string_view> controllers);

// The group of one instance. Owned by whoever started it.
class Cgroup {
 public:
  Cgroup() = default;
  explicit Cgroup(std::vector<std::string> folders) : folders_(std::move(folders)) {}

  const std::vector<std::string>& folders() const { return folders_; }
  // Moves the calling process in. Before it gives up root; allocates nothing.
  Result<void> enter() const;
  // True once the kernel killed a process for the memory limit.
  bool out_of_memory() const;
  // Removes the group; false while something lives in it.
  bool remove();

 private:
  std::vector<std::string> folders_;
};

class Cgroups {
 public:
  // Looks at this machine and prepares the parent groups of `site`. Without the
  // right to do so the kind is kRlimit: setrlimit(2) in the instance.
  static Cgroups find(std::string_view site);

  Limits kind() const { return kind_; }
  // 0 is no limit.
  Result<Cgroup> make(std::string_view instance, int64_t memory_bytes, uint32_t processes) const;
  // Removes the parents, which are empty by now.
  void remove() const;

 private:
  Limits kind_ = Limits::kRlimit;
  std::vector<Hierarchy> parents_;  // folder: …/terrace/<site>.<pid>
};

}  // namespace terrace::program

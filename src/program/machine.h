#pragma once

// What of this machine is ours: its cores and its memory, or what taskset(1), a
// cpuset, a CPU quota or a memory limit of control groups leaves of them, version 1
// and 2 (cgroups(7)). More threads or more memory than that would only be in the way.

#include <string>
#include <string_view>

#include "topology/load.h"

namespace terrace::program {

struct MachineView {
  topology::Machine machine;
  std::string cores_text;   // "1 of 8, by the CPU quota of the cgroup (0.5)"
  std::string memory_text;  // "512 MiB, by the cgroup; the machine has 24.0 GiB"
};

// What the kernel says apart from its files.
struct Cores {
  int usable = 1;  // sched_getaffinity(2), where a cpuset shows too
  int online = 1;
};

// This process on this machine.
MachineView look_at_machine();
// The same with /proc and /sys below `root`.
MachineView look_at_machine(const std::string& root, const Cores& cores);

}  // namespace terrace::program

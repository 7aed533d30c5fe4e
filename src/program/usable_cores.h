#pragma once

namespace terrace::program {

// The cores that this process may run on (sched_getaffinity(2)), 1 to 64. Fewer
// than the machine has where taskset, a cpuset or a container says so, which
// std::thread::hardware_concurrency() does not see with glibc 2.36: more workers
// than that would only take turns on the same cores.
int usable_cores();

}  // namespace terrace::program

#include "program/usable_cores.h"

#include <sched.h>

#include <algorithm>
#include <thread>

namespace terrace::program {
namespace {

constexpr int kCoresMax = 64;

}  // namespace

int usable_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  // Fails on machines with more cores than the set has room for: far over the limit.
  const bool known = sched_getaffinity(0, sizeof cores, &cores) == 0;
  const int count = known ? CPU_COUNT(&cores) : static_cast<int>(std::thread::hardware_concurrency());
  return std::clamp(count, 1, kCoresMax);
}

}  // namespace terrace::program

// What the file leaves to the machine: see load.h.

#include <fmt/format.h>

#include <algorithm>

#include "topology/load.h"

namespace terrace::topology {
namespace {

constexpr int64_t kMiB = 1 << 20;
// What an instance is taken to need at least, when its `memory` does not say less.
constexpr int64_t kInstanceBytes = 128 * kMiB;
// reactor/buffers.h
constexpr int64_t kBufferBytes = 18'000;
// An idle connection of a client, with what the kernel holds of it.
constexpr int64_t kConnectionBytes = 64 << 10;
// One file in the cache for so many bytes of content.
constexpr int64_t kBytesPerEntry = 16 << 10;

std::string size_text(int64_t bytes) {
  return bytes >= 10 * 1024 * kMiB ? fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1024.0 * kMiB))
                                   : fmt::format("{} MiB", bytes / kMiB);
}

// Three quarters of the memory are the application's.
int64_t instances_that_fit(const Site& site, const Machine& machine) {
  const int64_t need =
      site.app.memory_bytes > 0 ? std::min(site.app.memory_bytes, kInstanceBytes) : kInstanceBytes;
  return std::max<int64_t>(1, machine.memory_bytes / 4 * 3 / need);
}

Named instances_of(const Site& site, const Machine& machine, int& instances) {
  constexpr const char* kName = "app.instances";
  const int cores = std::max(1, machine.cores);
  instances = site.app.instances > 0 ? site.app.instances : cores;
  if (site.app.instances > 0) return {kName, std::to_string(instances)};
  const int64_t fit = machine.memory_bytes > 0 ? instances_that_fit(site, machine) : cores;
  if (fit >= cores) return {kName, fmt::format("{}, one per core", instances)};
  instances = static_cast<int>(fit);
  return {kName, fmt::format("{}, which {} of memory have room for; there are {} cores", instances,
                             size_text(machine.memory_bytes), cores)};
}

// What the worker takes of the memory: an eighth for buffers, a thirty-second for files.
void divide_memory(const Machine& machine, Derived& derived) {
  if (machine.memory_bytes <= 0) return;
  const int64_t per_core = machine.memory_bytes / std::max(1, machine.cores);
  derived.buffers_max = static_cast<size_t>(std::clamp<int64_t>(per_core / 8 / kBufferBytes, 1024, 65'536));
  derived.cache_bytes_max = std::clamp<int64_t>(per_core / 32, 4 * kMiB, 256 * kMiB);
  derived.cache_entries_max =
      static_cast<size_t>(std::max<int64_t>(1024, derived.cache_bytes_max / kBytesPerEntry));
  derived.connections_max =
      static_cast<int>(std::clamp<int64_t>(machine.memory_bytes / kConnectionBytes, 1000, 100'000));
}

}  // namespace

Derived derive(const Site& site, const Machine& machine) {
  Derived derived;
  divide_memory(machine, derived);
  if (!site.app.run.empty()) {
    derived.shown.push_back(instances_of(site, machine, derived.instances));
    derived.shown.push_back({"app.folder", site.app.folder});
  }
  derived.shown.push_back({"web.listen", fmt::format("{}", fmt::join(site.web.listen, ", "))});
  const bool asked = site.web.connections_max > 0;
  if (asked) derived.connections_max = site.web.connections_max;
  derived.shown.push_back(
      {"web.connections_max", fmt::format("{}{}", derived.connections_max, asked ? "" : ", by memory")});
  if (!site.web.files.empty()) {
    derived.shown.push_back(
        {"file cache", fmt::format("{} and {} files per core, by memory", size_text(derived.cache_bytes_max),
                                   derived.cache_entries_max)});
  }
  derived.shown.push_back({"buffers", fmt::format("{} per core, by memory", derived.buffers_max)});
  return derived;
}

std::string memory_text(int64_t bytes) { return size_text(bytes); }

}  // namespace terrace::topology

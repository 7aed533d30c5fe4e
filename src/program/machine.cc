#include "program/machine.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

#include "base/file.h"
#include "program/cgroup.h"
#include "program/usable_cores.h"

namespace terrace::program {
namespace {

constexpr size_t kProcFileBytesMax = 1 << 20;

std::optional<int64_t> number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

std::string read(const std::string& path) { return read_file(path, kProcFileBytesMax).value_or(""); }

// "MemTotal:       24684136 kB"
int64_t memory_of_machine(const std::string& root) {
  const std::string text = read(root + "/proc/meminfo");
  constexpr std::string_view kName = "MemTotal:";
  const size_t at = text.find(kName);
  if (at == std::string::npos) return 0;
  const size_t digits = text.find_first_not_of(' ', at + kName.size());
  return digits == std::string::npos ? 0 : number(std::string_view(text).substr(digits)).value_or(0) * 1024;
}

// Cores that the group may use, by its quota: "50000 100000" is a half of one.
std::optional<double> quota_of(const std::string& folder, bool version2) {
  const std::string quota = read(folder + (version2 ? "/cpu.max" : "/cpu.cfs_quota_us"));
  const size_t blank = quota.find(' ');
  const std::string period =
      version2 && blank != std::string::npos ? quota.substr(blank + 1) : read(folder + "/cpu.cfs_period_us");
  const std::optional<int64_t> used = number(quota);
  const std::optional<int64_t> of = number(period);
  if (!used || !of || *used <= 0 || *of <= 0) return std::nullopt;
  return static_cast<double>(*used) / static_cast<double>(*of);
}

// A word ("max") is no limit.
std::optional<int64_t> memory_of(const std::string& folder, bool version2) {
  std::optional<int64_t> least;
  for (const char* file : {"/memory.max", "/memory.high", "/memory.limit_in_bytes"}) {
    if (version2 != std::string_view(file).ends_with("limit_in_bytes")) {
      const std::optional<int64_t> limit = number(read(folder + file));
      if (limit && *limit > 0) least = std::min(*limit, least.value_or(*limit));
    }
  }
  return least;
}

struct GroupLimits {
  std::optional<double> cores;
  std::optional<int64_t> memory;
};

template <class T>
void take_least(std::optional<T>& least, const std::optional<T>& limit) {
  if (limit) least = std::min(*limit, least.value_or(*limit));
}

// A limit holds for all that is below it: ours, and those of the groups above.
GroupLimits limits_of(const std::string& root) {
  GroupLimits limits;
  const std::vector<Hierarchy> hierarchies = mounted_hierarchies(
      read(root + "/proc/self/mountinfo"), read(root + "/proc/self/cgroup"), {"cpu", "memory"});
  for (const Hierarchy& each : hierarchies) {
    const bool version2 = each.controller.empty();
    for (std::string folder = each.folder; folder.starts_with(each.root);
         folder = folder.substr(0, folder.rfind('/'))) {
      take_least(limits.cores, quota_of(root + folder, version2));
      take_least(limits.memory, memory_of(root + folder, version2));
      if (folder == each.root) break;
    }
  }
  return limits;
}

void set_cores(MachineView& view, const Cores& cores, const std::optional<double>& quota) {
  const int allowed = quota ? std::max(1, static_cast<int>(std::ceil(std::min(*quota, 1e6)))) : cores.usable;
  view.machine.cores = std::min(allowed, cores.usable);
  if (allowed < cores.usable) {
    view.cores_text =
        fmt::format("{} of {}, by the CPU quota of the cgroup ({:.2g})", allowed, cores.online, *quota);
  } else if (cores.usable < cores.online) {
    view.cores_text = fmt::format("{} of {}, where this process may run", cores.usable, cores.online);
  } else {
    view.cores_text = std::to_string(cores.usable);
  }
}

void set_memory(MachineView& view, int64_t total, const std::optional<int64_t>& limit) {
  const bool limited = limit && (total == 0 || *limit < total);
  view.machine.memory_bytes = limited ? *limit : total;
  view.memory_text = topology::memory_text(view.machine.memory_bytes);
  if (total == 0 && !limited) view.memory_text = "unknown";
  if (limited) view.memory_text += ", by the cgroup";
  if (limited && total > 0) view.memory_text += "; the machine has " + topology::memory_text(total);
}

}  // namespace

MachineView look_at_machine(const std::string& root, const Cores& cores) {
  MachineView view;
  const GroupLimits limits = limits_of(root);
  set_cores(view, cores, limits.cores);
  set_memory(view, memory_of_machine(root), limits.memory);
  return view;
}

MachineView look_at_machine() {
  const auto online = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  const int usable = usable_cores();
  return look_at_machine("", {.usable = usable, .online = std::max(online, usable)});
}

}  // namespace terrace::program

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/file.h"
#include "monitor/exposition.h"

namespace terrace::monitor {
namespace {

constexpr size_t kProcBytesMax = 64 * 1024;

uint64_t count_descriptors() {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  uint64_t count = 0;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] != '.') ++count;
  }
  closedir(folder);
  return count > 0 ? count - 1 : 0;  // without the one that opendir made
}

// Since 1970, from "btime" in /proc/stat.
double boot_seconds() {
  const Result<std::string> stat = read_file("/proc/stat", 1 << 20);
  if (!stat) return 0;
  const size_t at = stat->find("\nbtime ");
  return at == std::string::npos ? 0 : std::strtod(stat->c_str() + at + 7, nullptr);
}

// The fields of /proc/self/stat (proc(5)) that follow the name in parentheses.
struct Stat {
  uint64_t user_ticks = 0;
  uint64_t system_ticks = 0;
  uint64_t start_ticks = 0;
  uint64_t virtual_bytes = 0;
  uint64_t resident_pages = 0;
};

Stat parse_stat(std::string_view text) {
  Stat stat;
  const size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return stat;
  text.remove_prefix(name_end + 1);
  // The first value after the name is field 3 of the manual page.
  for (int field = 3; field <= 24 && !text.empty(); ++field) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    const std::string word(text.substr(0, text.find(' ')));
    const uint64_t value = std::strtoull(word.c_str(), nullptr, 10);
    if (field == 14) stat.user_ticks = value;
    if (field == 15) stat.system_ticks = value;
    if (field == 22) stat.start_ticks = value;
    if (field == 23) stat.virtual_bytes = value;
    if (field == 24) stat.resident_pages = value;
    text.remove_prefix(word.size());
  }
  return stat;
}

}  // namespace

ProcessMetrics read_process_metrics() {
  ProcessMetrics metrics;
  const Result<std::string> text = read_file("/proc/self/stat", kProcBytesMax);
  const Stat stat = parse_stat(text ? std::string_view(*text) : std::string_view());
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  metrics.cpu_seconds = static_cast<double>(stat.user_ticks + stat.system_ticks) / ticks;
  metrics.start_seconds = boot_seconds() + static_cast<double>(stat.start_ticks) / ticks;
  metrics.virtual_bytes = stat.virtual_bytes;
  metrics.resident_bytes = stat.resident_pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  metrics.descriptors = count_descriptors();
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) metrics.descriptors_max = limit.rlim_cur;
  return metrics;
}

}  // namespace terrace::monitor

#include "program/log_parts.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <memory>

namespace terrace::program {
namespace {

using std::chrono::milliseconds;

constexpr size_t kTimeBytes = 20;  // "20261122T100000.123Z"

// All digits of `text`, as a number.
std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.starts_with('-')) return std::nullopt;
  return value;
}

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(folder.c_str()), ::closedir);
  if (!listing) return names;
  while (const dirent* entry = ::readdir(listing.get())) names.emplace_back(entry->d_name);
  return names;
}

// The part that a file of this name is, when it is one of the log `log`.
std::optional<LogPart> part_of(std::string_view file, std::string_view log) {
  LogPart part;
  const std::string own = fmt::format("{}-", log);
  const std::string current = fmt::format("{}.log", log);
  if (file.starts_with(own)) {
    std::string_view rest = file.substr(own.size());
    part.packed = rest.ends_with(kPackedSuffix);
    if (part.packed) rest.remove_suffix(kPackedSuffix.size());
    if (!rest.ends_with(".log")) return std::nullopt;
    rest.remove_suffix(4);
    const std::optional<WallTime> until = part_time(rest);
    if (!until) return std::nullopt;
    part.until = *until;
    part.ours = true;
    return part;
  }
  if (file.starts_with(current) && file.size() > current.size() + 1 &&
      (file[current.size()] == '.' || file[current.size()] == '-'))
    return part;
  return std::nullopt;
}

}  // namespace

std::string_view LogPart::stem() const {
  const std::string_view all = path;
  return packed ? all.substr(0, all.size() - kPackedSuffix.size()) : all;
}

std::string part_time(WallTime time) {
  const int64_t since = std::chrono::duration_cast<milliseconds>(time.time_since_epoch()).count();
  const time_t seconds = since / 1000;
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, since % 1000);
}

std::optional<WallTime> part_time(std::string_view text) {
  if (text.size() != kTimeBytes || text[8] != 'T' || text[15] != '.' || text[19] != 'Z') return std::nullopt;
  const std::optional<int> fields[] = {number(text.substr(0, 4)),  number(text.substr(4, 2)),
                                       number(text.substr(6, 2)),  number(text.substr(9, 2)),
                                       number(text.substr(11, 2)), number(text.substr(13, 2)),
                                       number(text.substr(16, 3))};
  if (!std::ranges::all_of(fields, [](const auto& field) { return field.has_value(); })) return std::nullopt;
  tm parts{};
  parts.tm_year = *fields[0] - 1900;
  parts.tm_mon = *fields[1] - 1;
  parts.tm_mday = *fields[2];
  parts.tm_hour = *fields[3];
  parts.tm_min = *fields[4];
  parts.tm_sec = *fields[5];
  return WallTime(std::chrono::seconds(::timegm(&parts)) + milliseconds(*fields[6]));
}

std::string part_path(const std::string& folder, std::string_view name, WallTime until) {
  return fmt::format("{}/{}-{}.log", folder, name, part_time(until));
}

std::vector<LogPart> log_parts(const std::string& folder, std::string_view name) {
  std::vector<LogPart> parts;
  for (const std::string& file : files_in(folder)) {
    std::optional<LogPart> part = part_of(file, name);
    if (!part) continue;
    part->path = folder + "/" + file;
    struct stat about{};
    if (::lstat(part->path.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) continue;
    part->bytes = static_cast<uint64_t>(about.st_size);
    if (!part->ours) {
      part->until = WallTime(std::chrono::seconds(about.st_mtim.tv_sec) +
                             std::chrono::duration_cast<std::chrono::microseconds>(
                                 std::chrono::nanoseconds(about.st_mtim.tv_nsec)));
    }
    parts.push_back(std::move(*part));
  }
  std::ranges::sort(parts, [](const LogPart& a, const LogPart& b) {
    return a.until != b.until ? a.until < b.until : a.path > b.path;
  });
  // "….log.zst" comes before "….log".
  const auto twice = std::ranges::unique(
      parts, [](const LogPart& a, const LogPart& b) { return a.ours && b.ours && a.stem() == b.stem(); });
  parts.erase(twice.begin(), twice.end());
  return parts;
}

}  // namespace terrace::program

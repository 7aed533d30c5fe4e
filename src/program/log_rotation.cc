#include "program/log_rotation.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "base/descriptor.h"
#include "program/log_line.h"
#include "program/log_packing.h"

namespace terrace::program {
namespace {

uint64_t size_of(const std::string& path) {
  struct stat about{};
  return ::stat(path.c_str(), &about) == 0 ? static_cast<uint64_t>(about.st_size) : 0;
}

// What one log takes on disk.
struct Share {
  std::vector<LogPart> parts;  // ours, oldest first
  uint64_t bytes = 0;
};

Share share_of(const std::string& folder, std::string_view name) {
  Share share{.parts = log_parts(folder, name), .bytes = size_of(folder + "/" + std::string(name) + ".log")};
  std::erase_if(share.parts, [](const LogPart& part) { return !part.ours; });
  for (const LogPart& part : share.parts) share.bytes += part.bytes;
  return share;
}

}  // namespace

WallTime begin_of_log(const std::string& path, WallTime otherwise) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  char text[64];
  const ssize_t n = file ? ::read(file.get(), text, sizeof text) : -1;
  if (n <= 0) return otherwise;
  return wall_time(time_of_log_line({text, static_cast<size_t>(n)})).value_or(otherwise);
}

int64_t LogRotation::file_bytes_max() const {
  return std::min(limits_.file_bytes_max, std::max<int64_t>(1, limits_.total_bytes_max / 4));
}

bool LogRotation::is_due(const std::string& path) const {
  const uint64_t bytes = size_of(path);
  if (bytes == 0) return false;
  const WallTime now = clock_.wall();
  return bytes >= static_cast<uint64_t>(file_bytes_max()) ||
         now - begin_of_log(path, now) >= std::min(kPartAgeMax, limits_.age_max);
}

void LogRotation::rotate_one(std::string_view name) {
  const std::string path = folder_ + "/" + std::string(name) + ".log";
  if (!is_due(path)) return;
  // The clock may have been set back: the order of the names is the order of the lines.
  WallTime until = std::chrono::floor<std::chrono::milliseconds>(clock_.wall());
  for (const LogPart& part : log_parts(folder_, name)) {
    if (part.ours) until = std::max(until, part.until + std::chrono::milliseconds(1));
  }
  const std::string part = part_path(folder_, name, until);
  const bool done = ::renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, part.c_str(), RENAME_NOREPLACE) == 0;
  if (!done && errno != ENOENT && std::exchange(said_, errno) != errno)
    log_.error("cannot rotate a log", {{"log", path}, {"error", describe(fail_system("rename").error())}});
}

void LogRotation::rotate() {
  for (const std::string_view name : kLogNames) rotate_one(name);
}

bool LogRotation::remove(const LogPart& part) const {
  // The plain file may still stand beside a compressed one.
  const bool plain = ::unlink(std::string(part.stem()).c_str()) == 0;
  return ::unlink((std::string(part.stem()) + std::string(kPackedSuffix)).c_str()) == 0 || plain;
}

// Beyond the total the oldest part of the log goes that takes most: a log that is
// flooded does not cost another one its past.
void LogRotation::prune() {
  std::vector<Share> shares;
  uint64_t total = 0;
  for (const std::string_view name : kLogNames) {
    Share share = share_of(folder_, name);
    while (!share.parts.empty() && clock_.wall() - share.parts.front().until >= limits_.age_max &&
           remove(share.parts.front())) {
      share.bytes -= share.parts.front().bytes;
      share.parts.erase(share.parts.begin());
    }
    total += share.bytes;
    shares.push_back(std::move(share));
  }
  while (total > static_cast<uint64_t>(limits_.total_bytes_max)) {
    Share* largest = nullptr;
    for (Share& share : shares) {
      if (!share.parts.empty() && (largest == nullptr || share.bytes > largest->bytes)) largest = &share;
    }
    if (largest == nullptr || !remove(largest->parts.front())) return;
    largest->bytes -= largest->parts.front().bytes;
    total -= largest->parts.front().bytes;
    largest->parts.erase(largest->parts.begin());
  }
}

bool LogRotation::compress_one() {
  for (const std::string_view name : kLogNames) {
    for (const LogPart& part : log_parts(folder_, name)) {
      if (!part.ours || part.packed) continue;
      const Result<void> packed = pack_log(part.path);
      if (packed) return true;
      if (packed.error().code == Code::kUnavailable) continue;  // somebody still writes it
      if (std::exchange(said_, packed.error().system) != packed.error().system)
        log_.warning("cannot compress a log", {{"log", part.path}, {"error", describe(packed.error())}});
      return false;
    }
  }
  said_ = 0;
  return false;
}

void LogRotation::remove_unfinished() const {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, ignored)) {
    const std::string name = entry.path().filename().string();
    const bool log = std::ranges::any_of(kLogNames, [&](std::string_view one) {
      return name.starts_with(one) && name.size() > one.size() && name[one.size()] == '-';
    });
    if (log && name.ends_with(kUnfinishedSuffix)) ::unlink(entry.path().c_str());
  }
}

}  // namespace terrace::program

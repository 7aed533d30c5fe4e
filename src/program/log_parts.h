#pragma once

// The files of a log: the one that is written, and those that were rotated away.
//
//   app.log                             written now
//   app-20261122T100000.123Z.log        rotated at that time (UTC)
//   app-20261121T100000.000Z.log.zst    the same, compressed (zstd)
//   app.log.1, app.log-20261120.gz      of logrotate(8) or a person; we only read them

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace terrace::program {

struct LogPart {
  std::string path;
  WallTime until{};     // lines are hardly younger: kPartSlack
  uint64_t bytes = 0;   // on disk
  bool ours = false;    // rotated by us: it counts, is compressed and removed
  bool packed = false;  // compressed by us
  // The same for a file before and after its compression.
  std::string_view stem() const;
};

// "20261122T100000.123Z" and back.
std::string part_time(WallTime time);
std::optional<WallTime> part_time(std::string_view text);

// Where the part of the log `name` ("app") goes that ends at `until`.
std::string part_path(const std::string& folder, std::string_view name, WallTime until);

// What was rotated of the log `name`, oldest first. A part that is there both plain
// and compressed is given once, compressed.
std::vector<LogPart> log_parts(const std::string& folder, std::string_view name);

// For so long after its rotation a file may still be written, by a process that has
// not looked yet.
constexpr Duration kPartSlack = std::chrono::minutes(1);

// The logs that Terrace writes.
inline constexpr std::string_view kLogNames[] = {"app", "access", "terrace"};

inline constexpr std::string_view kPackedSuffix = ".zst";
// What a compression was writing when it was broken off.
inline constexpr std::string_view kUnfinishedSuffix = ".zst.partial";

}  // namespace terrace::program

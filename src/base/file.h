#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace terrace {

// The whole file; kLimit when it holds more than `bytes_max` bytes.
Result<std::string> read_file(const std::string& path, size_t bytes_max);

// Writes all of it to a descriptor that blocks: a file, a memfd.
Result<void> write_all(int descriptor, std::string_view content);

// Writes the file whole: a temporary beside it, fsync, rename, fsync of the
// folder. A reader sees the old content or the new, never a part.
Result<void> write_file(const std::string& path, std::string_view content, mode_t mode = 0644);

// mkdir -p with `mode` for the last folder; an existing folder is kept as it is.
Result<void> make_folders(const std::string& path, mode_t mode = 0755);

}  // namespace terrace

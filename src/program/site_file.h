#pragma once

// The site file as `terrace apply` writes it on every server of a site. The
// supervisor's part: it alone may write below /etc.

#include <string>
#include <string_view>

#include "base/result.h"

namespace terrace::program {

constexpr size_t kSiteFileBytesMax = 1 << 20;

// Puts `text` in the place of the file, whole (a temporary beside it, fsync, rename):
// after a power cut there is the old file or the new one. Owner and mode stay. Where
// `path` is a link, the file that it leads to is replaced.
Result<void> replace_site_file(const std::string& path, std::string_view text);

}  // namespace terrace::program

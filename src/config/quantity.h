#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace terrace::config {

// "500ms", "10s", "5m", "1h", "7d": a whole number and its unit, no blanks.
// Nothing when it is not of this form or above ten years.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
std::string format_duration(std::chrono::milliseconds duration);

// "512B", "10KB", "512MB", "1GB" in powers of 1,000; "KiB", "MiB", "GiB", "TiB" in
// powers of 1,024. Nothing when it is not of this form or above 2^53 bytes.
std::optional<int64_t> parse_size(std::string_view text);
std::string format_size(int64_t bytes);

}  // namespace terrace::config

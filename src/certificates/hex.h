#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace terrace::certificates {

// Lower-case hexadecimal digits.
std::string hex_of(std::span<const uint8_t> bytes);
// Whether `text` was the digits of exactly so many bytes, which are put into `into`.
bool read_hex(std::string_view text, std::span<uint8_t> into);

}  // namespace terrace::certificates

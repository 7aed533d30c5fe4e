#pragma once

#include <cstddef>
#include <string_view>

namespace terrace::monitor {

// Writing into memory that the caller has sized; each returns the new end.

// No byte of input becomes more than this many bytes of output.
inline constexpr size_t kEscapedBytesPerByte = 6;
// What a cut value ends in: U+2026.
inline constexpr std::string_view kCut = "\xe2\x80\xa6";

// The inside of a JSON string (RFC 8259 section 7). Control bytes, DEL and the
// C1 controls, which terminals obey, become \u00xx; bytes that are not UTF-8
// become U+FFFD. Of `text` at most `bytes_max` bytes are used.
char* append_escaped(char* out, std::string_view text, size_t bytes_max);

// One word for a column of a line: bytes other than visible ASCII, and quotes,
// become `?`; an empty text becomes `-`.
char* append_word(char* out, std::string_view text, size_t bytes_max);

}  // namespace terrace::monitor

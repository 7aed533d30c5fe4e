#pragma once

// Whole files through zstd, with the checksum of its content in the frame, so that a
// changed byte is noticed. They block on the disk.

#include <cstdint>
#include <string>

#include "base/result.h"

namespace terrace::database {

// Both write `to` anew with mode 0600 and fsync it; a failure leaves no file behind.
// The result is its size in bytes.
Result<int64_t> compress_file(const std::string& from, const std::string& to);
// kInvalid when `from` is not whole. kLimit when it grows beyond `bytes_max`.
Result<int64_t> decompress_file(const std::string& from, const std::string& to,
                                int64_t bytes_max = INT64_MAX);

}  // namespace terrace::database

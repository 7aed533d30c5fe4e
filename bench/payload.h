#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace terrace::bench {

// The bytes of every body that is measured: letters with a period of 251, a
// prime, so that a block that was lost, doubled or moved shows. bench/run writes
// the same bytes into the files that web servers serve.
std::string payload(size_t bytes);

// Whether `bytes` are what a payload holds from `offset` on.
bool is_payload(std::string_view bytes, uint64_t offset);

// A whole HTTP/1.1 response with keep-alive and a payload of `bytes`.
std::string response_of(size_t bytes);

}  // namespace terrace::bench

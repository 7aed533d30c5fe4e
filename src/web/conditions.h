#pragma once

#include <cstdint>
#include <ctime>
#include <string_view>

#include "http/message.h"

namespace terrace::web {

// What identifies the bytes of a representation (RFC 9110 section 8.8).
struct Validators {
  std::string_view etag;     // strong, with its quotes
  std::time_t modified = 0;  // seconds since 1970, as in Last-Modified
};

enum class Outcome : uint8_t { kProceed, kNotModified, kPreconditionFailed };

// The preconditions of a GET or HEAD in the order of RFC 9110 section 13.2.2.
// `now` is the wall clock in seconds.
Outcome evaluate_conditions(const http::Fields& fields, const Validators& validators, std::time_t now);

// False when If-Range names another representation: the Range is then ignored.
bool range_applies(const http::Fields& fields, const Validators& validators, std::time_t now);

}  // namespace terrace::web

#pragma once

#include <cstdint>
#include <expected>
#include <string>

namespace terrace {

// What a caller may act on. A new code only when some caller does.
enum class Code : uint8_t {
  kSystem,      // a system call failed; `system` is its errno
  kInvalid,     // the bytes or the value are not what the format allows
  kLimit,       // a limit of ours was reached
  kTimeout,     // the deadline passed
  kClosed,      // the peer closed in the middle
  kCancelled,   // we gave the operation up
  kWouldBlock,  // nothing to do now; wait for readiness
  kNotFound,
  kUnavailable,  // nobody to do it at the moment
};

// A small value, free to copy: errors of the network are ordinary. `text` and
// `place` are string literals; what varies is logged where the error is handled.
struct [[nodiscard]] Error {
  Code code = Code::kSystem;
  int system = 0;          // errno, or 0
  const char* place = "";  // the call that failed: "connect", "request head"
  const char* text = "";   // what is wrong, for a person
};

template <class T>
using Result = std::expected<T, Error>;

// Errors as values: `return fail(Code::kLimit, "head", "too long")`.
inline std::unexpected<Error> fail(Code code, const char* place, const char* text = "") {
  return std::unexpected(Error{.code = code, .place = place, .text = text});
}

// The current errno as an error of the named system call.
std::unexpected<Error> fail_system(const char* place);
std::unexpected<Error> fail_system(const char* place, int system);

// One line for a log: "connect: Connection refused".
std::string describe(const Error& error);

}  // namespace terrace

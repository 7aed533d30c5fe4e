#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace terrace::bench {

// What a response is checked for.
struct Expected {
  int status = 200;
  std::optional<uint64_t> body_bytes;  // none: whatever Content-Length says
  bool is_payload = false;             // the body is that of payload()
};

// Reads one response after the other from the bytes of a connection and checks
// each. Knows Content-Length only: every answer that is measured has one.
class ResponseReader {
 public:
  enum class Outcome : uint8_t {
    kMore,        // the response is not whole yet
    kDone,        // whole, and as expected
    kMalformed,   // not a response that this reader knows
    kStatus,      // another status
    kLength,      // another length
    kBody,        // another body
    kUnexpected,  // bytes after the end of the only response that was asked for
  };

  // `bytes`: all that was received. Every outcome but kMore ends the response;
  // only after kDone is the connection good for another.
  Outcome read(std::string_view bytes, const Expected& expected);
  // True while a response has begun and not ended.
  bool is_within() const { return in_body_ || !head_.empty(); }

 private:
  Outcome read_head(std::string_view bytes, const Expected& expected);
  Outcome start_body(std::string_view head, const Expected& expected);
  Outcome read_body(std::string_view bytes, const Expected& expected);

  std::string head_;  // of a head that came in parts
  bool in_body_ = false;
  uint64_t body_read_ = 0;
  uint64_t body_bytes_ = 0;
};

}  // namespace terrace::bench

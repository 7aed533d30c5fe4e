#pragma once

#include <string>

#include "health/http_probe.h"

namespace terrace::health {

// What an active check does, and what it expects.
struct Check {
  enum class Kind : uint8_t {
    kTcp,   // a connection can be made
    kHttp,  // a GET is answered with a status in the range
  };
  Kind kind = Kind::kHttp;
  HttpProbe probe;       // the address and the limit also of a TCP check
  int status_min = 200;  // both included
  int status_max = 399;
};

struct CheckResult {
  bool success = false;
  std::string reason;   // for people: "answers 500", "connect: Connection refused"
  bool silent = false;  // nothing came at all: whatever else waits for it waits in vain
};

// Does one check; ends at its limit.
Task<CheckResult> carry_out(Reactor& reactor, Check check);

}  // namespace terrace::health

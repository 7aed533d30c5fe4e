#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "reactor/task.h"

namespace terrace::cluster {

// How a request about the shared state reaches another server: over the control
// channel, or in a test over nothing.
class StateTransport {
 public:
  virtual ~StateTransport() = default;
  // Sends `request` (state_json.h) to the server and returns its answer; both have at most
  // kStateTextBytesMax bytes. Ends by the deadline. Errors: kUnavailable when the request
  // has certainly not reached the server (no connection, no handshake, a refusal);
  // anything else: it may have.
  virtual Task<Result<std::string>> ask(std::string server, std::string request, Time deadline) = 0;
};

}  // namespace terrace::cluster

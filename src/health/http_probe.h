#pragma once

#include <string>

#include "net/address.h"
#include "reactor/reactor.h"
#include "reactor/task.h"

namespace terrace::health {

// One GET on a connection of its own; the status of the answer, whose body is not
// read. kTimeout after `limit` for all of it; kInvalid when it is not HTTP/1.
struct HttpProbe {
  net::Address address;
  std::string host;  // for the Host field
  std::string path;
  Duration limit = std::chrono::seconds(2);
};
Task<Result<int>> probe(Reactor& reactor, HttpProbe request);

}  // namespace terrace::health

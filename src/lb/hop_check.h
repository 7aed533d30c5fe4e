#pragma once

#include "health/check.h"
#include "lb/hop.h"

namespace terrace::lb {

// One check of one of our own web servers, over the way that its requests take: a GET with the
// path and Host of the check, or for a TCP check a connection with its handshake. Ends at the
// limit of the check.
Task<health::CheckResult> check_over(Reactor& reactor, Hop& hop, health::Check check);

}  // namespace terrace::lb

#pragma once

#include "lab/plan.h"

namespace terrace::lab {

// How this machine's loopback reaches the site: a process whose listening socket is
// this machine's and whose other sockets are made in the outside's network namespace.
// Each connection goes to the next entry of the site that takes it, as a browser with
// several addresses of one name would have it, and bytes are passed on as they are.
//
// Ends with the process that started it. `network` is a pidfd of the outside.
[[noreturn]] void run_forwarder(const Plan& plan, int listener, int network);

}  // namespace terrace::lab

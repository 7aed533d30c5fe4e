#pragma once

#include <string>
#include <string_view>

#include "reactor/reactor.h"
#include "reactor/task.h"

namespace terrace::program {

// The lines of this server's logs that another server, or a person on it, wants to see:
//   {"logs": ["app", "access", "terrace"], "lines": 20, "since": "…Z", "until": "…Z",
//    "level": "warning", "grep": "…", "instance": "app-1", "release": 7}
// Each as "LOG<tab>TEXT<line end>", log after log, oldest first; without "lines" all since
// then. At most `bytes_max` bytes: the newest. The files are read on a thread.
Task<std::string> log_lines(Reactor& reactor, std::string folder, std::string query, size_t bytes_max);

}  // namespace terrace::program

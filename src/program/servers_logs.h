#pragma once

#include "program/command_line.h"
#include "program/log_filter.h"

namespace terrace::program {

// `terrace logs` on a server of several: the lines of all of them, or of --server, in the
// order of their times. With --follow it asks again every second.
int run_logs_of_servers(const CommandLine& line, const LogFilter& filter);

}  // namespace terrace::program

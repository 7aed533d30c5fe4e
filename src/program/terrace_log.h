#pragma once

#include <string>

#include "base/descriptor.h"
#include "base/log.h"
#include "program/privileges.h"

namespace terrace::program {

// From now on `log` also writes to <log>/terrace.log, which `terrace logs
// --terrace` reads; the caller keeps the descriptor as long as the log. Without
// the file it stays with standard error, and says so. Supervisor, controller and
// worker each open it and append; it stays open, so rotate it by copying and
// truncating.
Descriptor copy_to_terrace_log(Log& log, const std::string& log_folder);

// The same for the supervisor, who gives the file to `own`, the user of the others.
Descriptor copy_to_terrace_log(Log& log, const std::string& log_folder, const User& own);

}  // namespace terrace::program

#pragma once

#include <string>

#include "base/descriptor.h"
#include "base/result.h"
#include "program/privileges.h"

namespace terrace::program {

// Opens <log>/terrace.log for appending: supervisor, controller and worker copy
// into it what they say on standard error, for `terrace logs --terrace`. As root
// the file is given to `own`, the user of the other two. Rotate it by copying and
// truncating: it stays open.
Result<Descriptor> open_terrace_log(const std::string& log_folder, const User& own);
Result<Descriptor> open_terrace_log(const std::string& log_folder);

}  // namespace terrace::program

#include "program/version.h"

namespace terrace::program {

// The build passes TERRACE_VERSION to this file alone, so that a new version
// compiles one file again.
constinit const char* const kVersion = TERRACE_VERSION;

}  // namespace terrace::program

#include "program/commands.h"
#include "program/output.h"

namespace terrace::program {

int run_schema(const CommandLine& line) {
  return complain("this build has no schema yet", line.json, kExitFailure);
}

}  // namespace terrace::program

#include "program/commands.h"
#include "program/output.h"
#include "topology/load.h"

namespace terrace::program {

int run_schema(const CommandLine& line) {
  print(line.manual ? topology::site_manual() : topology::site_schema());
  return kExitFine;
}

}  // namespace terrace::program

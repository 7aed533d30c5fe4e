#include "program/entry.h"

#include "program/output.h"

// The processes whose own files are not there yet.

namespace terrace::program {
namespace {

int absent(const char* process) {
  complain(process);
  return 1;
}

}  // namespace

int run_controller(int, char**) { return absent("this build has no controller"); }

}  // namespace terrace::program

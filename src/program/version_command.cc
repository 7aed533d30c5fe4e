#include <fmt/format.h>

#include "program/commands.h"
#include "program/output.h"
#include "program/version.h"

namespace terrace::program {

int run_version(const CommandLine& line) {
  print(line.json ? fmt::format("{{\"version\":\"{}\"}}\n", kVersion)
                  : fmt::format("terrace {}\n", kVersion));
  return kExitFine;
}

}  // namespace terrace::program

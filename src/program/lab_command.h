#pragma once

// `terrace lab`, the site on one machine, as the command line has it: `up` in
// lab_up_command.cc, the rest in lab_command.cc.

#include <optional>
#include <string>

#include "lab/folders.h"
#include "program/command_line.h"

namespace terrace::program {

int run_lab_up(const CommandLine& line);

// The lab that is meant: the one that was named, else the only one that runs. Nothing
// when that is unclear: then it is said, and `status` is how to leave.
std::optional<lab::LabFolders> chosen_lab(const CommandLine& line, int& status);

}  // namespace terrace::program

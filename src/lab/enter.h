#pragma once

// Commands in a machine of a lab: what a person at its terminal, or over ssh, does.

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"

namespace terrace::lab {

// Starts the command as root within the machine behind this pidfd; it has the
// descriptors 0, 1 and 2 that are given and no others, and ends with the caller's thread
// and with the machine. Whoever calls waits for it (waitpid(2)). A command that is not
// there ends with 127, a machine that has gone with 126.
struct EnteredCommand {
  std::vector<std::string> words;
  int input = 0;
  int output = 1;
  int error = 2;
};
Result<pid_t> start_in_machine(int pidfd, const EnteredCommand& command);

// Runs it to its end, at most until `patience` has passed or `interrupted` says so, which
// is asked often: then it is ended, with kTimeout or kCancelled. Lines of output and
// errors are given to `show`, without their ends. `input` is its standard input, a
// descriptor or -1. The exit status as a shell has it.
struct RunInMachine {
  std::vector<std::string> words;
  int input = -1;
  std::chrono::seconds patience{600};
  std::function<void(std::string_view line)> show = [](std::string_view) {};
  // The line with which the caller has heard enough: the command is ended, and that is
  // no failure.
  std::function<bool(std::string_view line)> enough = [](std::string_view) { return false; };
  std::function<bool()> interrupted = [] { return false; };
};
Result<int> run_in_machine(int pidfd, const RunInMachine& run);

// The exit status of a shell for what waitpid(2) gave.
int exit_status(int status);

}  // namespace terrace::lab

#pragma once

// The first process of an instance, from the moment that it has its user and its
// namespaces. See isolation.h.

#include "program/isolation.h"

namespace terrace::program {

// One record from the init to the supervisor.
struct InitReport {
  uint32_t failed = 0;  // 1: `text` says what could not be set up
  int32_t status = 0;   // of the command, as in wait(2)
  Text<256> text;
};

// Where the program of InstancePlan::arguments stands open in the init.
constexpr int kOwnProgram = 4;

// How the supervisor tells a guardian to kill all that it guards: SIGKILL would
// end only the guardian.
constexpr int kKillAllSignal = 10;  // SIGUSR1

// Starts the command and waits for its end. Standard input, output and error are
// in place; `reports` is the only other descriptor but for
// kOwnProgram.
[[noreturn]] void run_init(const InstancePlan& plan, Isolation isolation, int reports);

// Tells the supervisor and ends.
[[noreturn]] void give_up(int reports, const Error& error);

// SIGKILL to all children of this process; returns when none is left. Orphans become
// children of the guardian when their parent is killed, so each round reaches one
// generation further.
void kill_descendants();

// The command for `sh -c`: with `exec` in front where that changes nothing but
// saves the shell's process.
std::string shell_command(const std::string& command);

}  // namespace terrace::program

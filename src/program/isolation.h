#pragma once

// Starts an instance of the app so that nothing of it outlives us.
//
// The direct child is an init of ours: the first process of a PID namespace of its
// own (pid_namespaces(7)). It changes to the app's user, asks for SIGKILL when the
// supervisor's thread ends (PR_SET_PDEATHSIG, which a change of user clears, hence
// the order), starts the command in a session of its own, reaps whatever ends,
// passes SIGTERM on to the command's process group, and ends as soon as the
// command does. With it the kernel ends everything else in the namespace, setsid
// and double-forked processes included.
//
// As an ordinary user the PID namespace needs a user namespace around it. Where a
// host forbids both, the init is a guardian (PR_SET_CHILD_SUBREAPER): it gets the
// orphans and kills them, which holds as long as nobody kills the guardian itself.
//
// Call only from the main thread of a process with one thread.

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "program/cgroup.h"
#include "program/privileges.h"
#include "program/records.h"

namespace terrace::program {

struct InstancePlan {
  std::string title;    // of the init, for ps(1): "terrace: app-1"
  std::string command;  // for /bin/sh -c
  // When not empty, instead of `command`: `program`, an open binary, with these
  // arguments after its name.
  std::vector<std::string> arguments;
  int program = -1;  // borrowed
  int input = -1;    // its standard input, borrowed; -1: nothing to read
  std::string folder;
  std::vector<std::string> environment;  // "NAME=value", the whole of it
  User user;
  bool change_user = false;  // false: the user stays who we are
  mode_t umask = 027;
  rlim_t descriptors = 1024;  // soft limit of open files
  // Limits per process where no cgroup can limit the instance; 0: none.
  int64_t memory_bytes = 0;
  uint32_t processes = 0;
  const Cgroup* group = nullptr;
};

struct StartedInstance {
  pid_t pid = 0;       // of the init
  Descriptor output;   // read end of standard output and error, non-blocking
  Descriptor reports;  // the init's channel to us, see read_end()
};

// What this machine allows; tried once, with a process that ends at once.
Isolation possible_isolation();

// The reading half of start and end: errors in the child are reported at the end.
Result<StartedInstance> start_instance(const InstancePlan& plan, Isolation isolation);

// How an instance ended, once waitpid(2) gave `init_status` for its init.
struct InstanceEnd {
  int status = 0;     // as in wait(2)
  std::string error;  // why it never started; empty otherwise
};
InstanceEnd read_end(const StartedInstance& instance, int init_status);

// SIGTERM reaches the command's process group; SIGKILL ends everything.
void signal_instance(pid_t init, Isolation isolation, int signal);

}  // namespace terrace::program

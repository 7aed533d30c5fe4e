#pragma once

// What main() starts. `terrace up` is the supervisor; it starts the same binary
// again as `terrace controller`, `terrace worker` and, on a server of several,
// `terrace member`; an upgrade executes the new one as `terrace take-over`: commands that no help shows. Each
// function returns the exit status of its process.

#include <string>

#include "program/folders.h"

namespace terrace::program {

// `terrace up`.
struct UpOptions {
  std::string site_path;  // absolute, readable
  std::string server;     // of [servers], that this machine was said to be; empty: by its addresses
};

// argc and argv as main() got them: their memory becomes the process title.
int run_supervisor(int argc, char** argv, const UpOptions& options);
// The supervisor after an upgrade, and its trial before one (handover.h).
int run_take_over(int argc, char** argv);
int run_controller(int argc, char** argv);
int run_worker(int argc, char** argv);
int run_member(int argc, char** argv);

}  // namespace terrace::program

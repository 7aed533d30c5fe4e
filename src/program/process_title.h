#pragma once

#include <string_view>

namespace terrace::program {

// Remembers the memory of the arguments and moves the environment out of the way.
// Call once, first thing in a process; argv is gone afterwards.
void own_process_title(int argc, char** argv);

// What ps(1) and top(1) show from now on: "terrace: worker".
void set_process_title(std::string_view title);

}  // namespace terrace::program

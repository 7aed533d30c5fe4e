#pragma once

#include <string>

namespace terrace::program {

// Who typed the command, for those who read of it later: "anna@192.0.2.7", "root".
std::string who_asks();

}  // namespace terrace::program

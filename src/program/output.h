#pragma once

#include <string>
#include <string_view>

namespace terrace::program {

// Writes to standard output at once. A reader that went away (`| head`) ends the
// process quietly, by SIGPIPE.
void print(std::string_view text);

// One line on standard error: "terrace: …".
void complain(std::string_view text);

// Complains as the command line wants it, and returns `status`.
int complain(std::string_view text, bool json, int status);

}  // namespace terrace::program

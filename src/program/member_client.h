#pragma once

// Questions of the command line to the member of this server (member_commands.h).

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "program/command_line.h"

namespace terrace::program {

// The member's socket, on a server that has joined its site; nothing where the controller
// alone is to be asked.
std::optional<std::string> find_member(const std::string& site_path);

// Asks the member of the site that the command line names, hands each line before the
// answer to `before`, and gives the answer, a JSON object. Nothing when there is none: then
// the reason is said and `status` is how to leave.
std::optional<std::string> ask_member(const CommandLine& line, std::string_view question, int& status,
                                      const std::function<void(const std::string& line)>& before = {});

}  // namespace terrace::program

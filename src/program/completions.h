#pragma once

#include <span>
#include <string>

#include "program/command_line.h"

// Completions of the command line for the shells, made from the command table.

namespace terrace::program {

// For /usr/share/bash-completion/completions/terrace.
std::string bash_completion(std::span<const CommandWords> commands);
// For /usr/share/zsh/vendor-completions/_terrace.
std::string zsh_completion(std::span<const CommandWords> commands);
// For /usr/share/fish/vendor_completions.d/terrace.fish.
std::string fish_completion(std::span<const CommandWords> commands);

}  // namespace terrace::program

#pragma once

#include <string>
#include <vector>

namespace terrace::lab {

// Runs a program of the system in the namespaces of the caller, with `input` on its
// standard input, and waits for at most 30 s. Empty when it went well; else what it
// said, for a person. For ip(8) and nft(8).
std::string run_tool(const std::vector<std::string>& words, const std::string& input);

// The same in the network namespace of the process behind this pidfd.
std::string run_tool_in_network(int pidfd, const std::vector<std::string>& words, const std::string& input);

// What is missing on this machine for a lab, for a person; empty: nothing.
std::string missing_tools();

}  // namespace terrace::lab

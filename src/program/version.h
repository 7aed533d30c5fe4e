#pragma once

namespace terrace::program {

// Of the program; CMake's project(VERSION) is where it is set.
constexpr const char* kVersion = TERRACE_VERSION;

}  // namespace terrace::program

#pragma once

namespace terrace::program {

// "0.1.0": project(VERSION) in CMakeLists.txt.
extern const char* const kVersion;

}  // namespace terrace::program

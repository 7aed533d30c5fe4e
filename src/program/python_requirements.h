#pragma once

// requirements.txt held against the Python packages that Debian has installed here:
// with all of them there a project needs no virtual environment, and no network.

#include <string>
#include <vector>

#include "program/recognition.h"

namespace terrace::program {

// The first line that Debian's Python does not satisfy, by name or by version; empty
// when it has everything, or when there is no requirements.txt. What only pip
// understands (options, addresses) is not satisfied. Versions are compared by their
// numbers alone, and environment markers are taken as true.
std::string unmet_requirement(const Project& project);

// Debian's names of what requirements.txt asks for, as far as they follow from it.
std::vector<std::string> required_packages(const Project& project);

}  // namespace terrace::program

#pragma once

// Debian packages that an application needs ([app] packages). For the command line: it
// blocks.

#include <string>
#include <vector>

#include "base/result.h"

namespace terrace::program {

// Those of `names` that are not installed, by dpkg-query(1). kNotFound where there is no
// dpkg.
Result<std::vector<std::string>> missing_packages(const std::vector<std::string>& names);

// apt-get(8), with what it says on our standard error. Root only. False when it failed.
bool install_packages(const std::vector<std::string>& names);

// What to type instead.
std::string install_command(const std::vector<std::string>& names);

}  // namespace terrace::program

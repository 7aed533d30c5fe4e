#pragma once

#include <string>
#include <string_view>

namespace terrace::http {

// "/assets/*", "*.js", "/index.html": `*` stands for any bytes, slashes too; a
// pattern fits a whole path or not at all.
bool pattern_fits(std::string_view pattern, std::string_view path);

// A pattern as it is written in a site file, where bytes may be in percent form,
// as one to compare with normalised paths.
std::string decode_pattern(std::string_view written);

}  // namespace terrace::http

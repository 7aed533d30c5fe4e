#pragma once

#include <span>
#include <string>
#include <string_view>

#include "config/field.h"

namespace terrace::config {

// The tables as a JSON schema of draft-04, which the TOML plug-ins of editors
// read: names, types, ranges, words, defaults and descriptions. Keys of a later
// step are left out. What only the program can judge (forms, rules across keys)
// the schema lets pass.
std::string json_schema(std::string_view title, std::string_view about, std::span<const Table> tables);

}  // namespace terrace::config

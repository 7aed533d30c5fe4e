#pragma once

#include <span>
#include <string_view>

namespace terrace::topology {

// A code of a diagnostic and what it means. Codes are never given a new meaning:
// people search for them.
struct CodeMeaning {
  std::string_view code;
  std::string_view about;
};
std::span<const CodeMeaning> all_codes();

}  // namespace terrace::topology

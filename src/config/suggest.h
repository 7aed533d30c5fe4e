#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace terrace::config {

// The candidate that a person most likely meant: the one with the fewest edits
// (insert, delete, replace, swap two neighbours; case counts as nothing), if they
// are at most a third of the word. Nothing when none is near.
std::optional<std::string> suggest(std::string_view word, std::span<const std::string> candidates);

}  // namespace terrace::config

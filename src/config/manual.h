#pragma once

#include <span>
#include <string>
#include <string_view>

#include "config/field.h"

namespace terrace::config {

// The tables as a reference for people. Tables and keys of a later step are named
// with that step, so that nobody searches for them.

// Markdown, with a heading of level 3 per table.
std::string markdown_reference(std::span<const Table> tables);

// The same as sections of a manual page (man(7)).
std::string roff_reference(std::span<const Table> tables);

// Markdown of the kind that `about` texts hold (`code` and plain text) as roff.
std::string roff_text(std::string_view markdown);

}  // namespace terrace::config

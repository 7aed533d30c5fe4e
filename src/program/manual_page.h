#pragma once

#include <span>
#include <string>
#include <string_view>

#include "program/command_line.h"

// Pages for man(1), in the language of man(7), from the same tables as the help.

namespace terrace::program {

// terrace(1).
std::string command_manual_page(std::span<const CommandWords> commands);

struct PageHead {
  std::string_view name;     // "site.toml"
  std::string_view section;  // "5"
  std::string_view about;
};

// A page from Markdown of the kind that `terrace schema --manual` prints: headings,
// paragraphs, lists, indented examples, `code` and **strong** words.
std::string manual_page_of_markdown(const PageHead& head, std::string_view markdown);

}  // namespace terrace::program

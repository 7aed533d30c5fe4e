#pragma once

#include <optional>
#include <vector>

#include "config/diagnostic.h"
#include "config/source.h"

namespace terrace::config {

// A look at the text that needs no parser: where strings, comments and brackets
// are. It protects the parser, which recurses, and finds out what a line that
// does not parse may hold.
struct Scan {
  std::vector<bool> begins_in_string;  // per line: the line begins inside a string of several lines
  std::optional<Position> too_deep;    // brackets or dotted keys nest beyond any sense
};
Scan scan(const Source& source);

// E003 when the file is larger or deeper than a parser should be asked to read.
std::optional<Diagnostic> over_limits(const Source& source);

}  // namespace terrace::config

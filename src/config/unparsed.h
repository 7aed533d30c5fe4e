#pragma once

#include <span>

#include "config/diagnostic.h"
#include "config/field.h"
#include "config/source.h"

namespace terrace::config {

// For a file that does not parse: hides of the diagnostic's line all that could
// be (a part of) a secret, and drops from the diagnostic what quotes it. In doubt
// it hides: only a line that can be nothing but a key that is not secret, or a
// header, is shown whole.
void hide_unparsed(std::span<const Table> tables, Source& source, Diagnostic& diagnostic);

}  // namespace terrace::config

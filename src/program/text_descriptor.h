#pragma once

// A text as a descriptor that another process can be handed: a sealed memfd, which
// nobody can change or shorten any more (memfd_create(2)).

#include <string>
#include <string_view>

#include "base/descriptor.h"
#include "base/result.h"

namespace terrace::program {

Result<Descriptor> make_text_descriptor(std::string_view text);

// From its beginning, wherever its offset stands; kLimit above `bytes_max`.
Result<std::string> read_text_descriptor(int descriptor, size_t bytes_max);

}  // namespace terrace::program

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "web/accept_encoding.h"

namespace terrace::web {

// `content` in a coding other than identity, or nothing when that would not be at
// least a twentieth smaller. Takes milliseconds for hundreds of kilobytes: not for
// a reactor's thread. The same content gives the same bytes.
std::optional<std::string> compress(std::string_view content, Coding coding);

}  // namespace terrace::web

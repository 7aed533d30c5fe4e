#pragma once

#include <span>
#include <string_view>

#include "base/result.h"

namespace terrace::http {

// Decodes the path of a target once, for routing and for opening a file of that
// very name. Refuses (kInvalid) what two readers could understand differently:
// dot segments (`.`, `..`, also encoded or with `;`), encoded `/`, `\`, NUL and
// control bytes, a plain `\`, `%` without two hex digits, bytes that are not
// UTF-8 (overlong forms included). Double slashes become one.
// `into` needs path.size() bytes; the result is a view of it and begins with `/`.
// RFC 3986 sections 2.1, 3.3, 6.2.2.
Result<std::string_view> normalise_path(std::string_view path, std::span<char> into);

// Whether a path is refused for its encoded slashes alone, and would be fine with plain
// ones in their place. It names no file and no rule of ours, as nobody can say where its
// segments end; an application may use such names, and gets the path as it came.
bool has_opaque_slash(std::string_view path);

// "host", "host:port", "[::1]:80" without user info, path or comma (RFC 9110 section 4.2.3).
bool valid_authority(std::string_view authority);

// The host of an authority without its port.
std::string_view host_of(std::string_view authority);

}  // namespace terrace::http

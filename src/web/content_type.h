#pragma once

#include <string_view>

namespace terrace::web {

// What a file is, by the extension of its name.
struct ContentType {
  std::string_view text;      // for Content-Type, with charset=utf-8 where it is text
  bool compressible = false;  // not compressed by its own format already
};

// "/a/style.CSS" is text/css. Unknown or without an extension: application/octet-stream.
// IANA media types; RFC 9239 for JavaScript.
ContentType content_type(std::string_view path);

}  // namespace terrace::web

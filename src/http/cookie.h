#pragma once

#include <string_view>

#include "http/message.h"

namespace terrace::http {

// The value of the first cookie of this name in all Cookie fields, as the client wrote it
// (RFC 6265 section 4.2.1: "name=value; name2=value2"); empty: there is none, or it is
// empty. Names are compared as they are.
std::string_view cookie(const Fields& fields, std::string_view name);

}  // namespace terrace::http

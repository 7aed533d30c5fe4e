#pragma once

#include <string_view>

#include "http/message.h"
#include "http/parser.h"

namespace terrace::http {

// "GET /path?query HTTP/1.1" without its CRLF (RFC 9112 section 3), into the
// head's method, target, path, query, version and, for the absolute form,
// authority. False: refused, with status and text. An absolute form with a query
// but no path is refused: its origin form is not in the buffer.
bool parse_request_line(std::string_view line, RequestHead& head, Refusal& refusal);

// Its parts alone, for versions that do not send a line. CONNECT and TRACE are
// refused. The origin form is a path with its query, or "*" for OPTIONS.
bool parse_method(std::string_view name, RequestHead& head, Refusal& refusal);
bool parse_origin_form(std::string_view target, RequestHead& head, Refusal& refusal);

// `start`: the first bytes of a request line, or a whole one with its carriage
// return. False, with `refusal` set, when it is too long already. Decides the
// same for the whole line as for a part that is long enough to tell.
bool request_line_length_fits(std::string_view start, size_t target_max, Refusal& refusal);

}  // namespace terrace::http

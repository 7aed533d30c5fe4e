#pragma once

#include <ctime>
#include <optional>
#include <string_view>

namespace terrace::web {

// An HTTP-date (RFC 9110 section 5.6.7) as seconds since 1970: the fixed form and, as
// recipients must, the two obsolete ones (RFC 850 and asctime). Anything else is no
// date, and the field that holds it is ignored. `now` resolves years of two digits.
std::optional<std::time_t> parse_date(std::string_view text, std::time_t now);

}  // namespace terrace::web

#include "http/path_pattern.h"

#include "http/syntax.h"

namespace terrace::http {

bool pattern_fits(std::string_view pattern, std::string_view path) {
  size_t p = 0;
  size_t s = 0;
  size_t star = std::string_view::npos;
  size_t resume = 0;  // where the last `*` would end if it took one byte more
  while (s < path.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = s;
    } else if (p < pattern.size() && pattern[p] == path[s]) {
      ++p;
      ++s;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      s = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

std::string decode_pattern(std::string_view written) {
  std::string decoded;
  while (!written.empty()) {
    const int high = written[0] == '%' && written.size() > 2 ? hex_value(written[1]) : -1;
    const int low = high >= 0 ? hex_value(written[2]) : -1;
    decoded += low >= 0 ? static_cast<char>(high << 4 | low) : written[0];
    written.remove_prefix(low >= 0 ? 3 : 1);
  }
  return decoded;
}

}  // namespace terrace::http

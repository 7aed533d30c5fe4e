#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace terrace {

std::unexpected<Error> fail_system(const char* place) { return fail_system(place, errno); }

std::unexpected<Error> fail_system(const char* place, int system) {
  return std::unexpected(Error{.code = Code::kSystem, .system = system, .place = place});
}

std::string describe(const Error& error) {
  std::string line = error.place;
  if (*error.text != 0) line += std::string(": ") + error.text;
  if (error.system != 0) line += std::string(": ") + strerrordesc_np(error.system);
  if (error.code == Code::kTimeout && *error.text == 0) line += ": deadline passed";
  if (error.code == Code::kClosed && *error.text == 0) line += ": closed by the peer";
  return line;
}

}  // namespace terrace

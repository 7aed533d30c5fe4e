#include "program/output.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/log.h"

namespace terrace::program {

void print(std::string_view text) {
  (void)std::fwrite(text.data(), 1, text.size(), stdout);
  (void)std::fflush(stdout);
}

void complain(std::string_view text) { fmt::print(stderr, "terrace: {}\n", text); }

int complain(std::string_view text, bool json, int status) {
  if (!json) {
    complain(text);
    return status;
  }
  std::string line = R"({"ok":false,"error":")";
  append_json_escaped(line, text);
  print(line + "\"}\n");
  return status;
}

}  // namespace terrace::program

#include "program/process_title.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

namespace terrace::program {
namespace {

// The bytes in which the kernel looks for the command line (proc_pid_cmdline(5)):
// the arguments, then the environment, without a gap. One per process, as they are.
char* title_begin = nullptr;
char* title_end = nullptr;

char* end_of_strings(char** strings, char* end) {
  for (char** each = strings; each != nullptr && *each != nullptr; ++each) {
    if (*each == end) end = *each + std::strlen(*each) + 1;
  }
  return end;
}

void move_environment() {
  size_t count = 0;
  while (environ[count] != nullptr) ++count;
  auto** copy = static_cast<char**>(std::calloc(count + 1, sizeof(char*)));
  if (copy == nullptr) return;
  for (size_t i = 0; i < count; ++i) copy[i] = ::strdup(environ[i]);
  environ = copy;
}

}  // namespace

void own_process_title(int argc, char** argv) {
  if (argc < 1 || title_begin != nullptr) return;
  char* end = end_of_strings(argv, argv[0]);
  end = end_of_strings(environ, end);
  move_environment();
  title_begin = argv[0];
  title_end = end;
}

void set_process_title(std::string_view title) {
  ::prctl(PR_SET_NAME, std::string(title.substr(0, 15)).c_str());
  if (title_begin == nullptr) return;
  const auto room = static_cast<size_t>(title_end - title_begin);
  const size_t bytes = std::min(title.size(), room - 1);
  std::memset(title_begin, 0, room);
  std::memcpy(title_begin, title.data(), bytes);
}

}  // namespace terrace::program

#include "program/packages.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <sstream>

#include "base/descriptor.h"

namespace terrace::program {
namespace {

// Runs the program to its end; its output goes to `output`. Its status as in wait(2).
Result<int> run(std::vector<std::string> words, int output, bool quiet) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  if (quiet) ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) return fail(Code::kNotFound, "packages");
  if (error != 0) return fail_system("packages", error);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

std::string content_of(int file) {
  std::string text;
  char block[4096];
  for (ssize_t n = ::pread(file, block, sizeof block, 0); n > 0;
       n = ::pread(file, block, sizeof block, static_cast<off_t>(text.size())))
    text.append(block, static_cast<size_t>(n));
  return text;
}

}  // namespace

Result<std::vector<std::string>> missing_packages(const std::vector<std::string>& names) {
  if (names.empty()) return std::vector<std::string>{};
  char path[] = "/tmp/terrace-packages-XXXXXX";
  const Descriptor file(::mkostemp(path, O_CLOEXEC));
  if (!file) return fail_system("mkstemp");
  ::unlink(path);
  std::vector<std::string> words = {"dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n",
                                    "--"};
  words.insert(words.end(), names.begin(), names.end());
  // It fails when it does not know one of them; the others are there all the same.
  const Result<int> asked = run(std::move(words), file.get(), true);
  if (!asked) return std::unexpected(asked.error());
  std::vector<std::string> missing = names;
  std::istringstream lines(content_of(file.get()));
  for (std::string name, state; lines >> name >> state;) {
    if (state == "installed") std::erase(missing, name);
  }
  return missing;
}

bool install_packages(const std::vector<std::string>& names) {
  ::setenv("DEBIAN_FRONTEND", "noninteractive", 1);
  std::vector<std::string> words = {"apt-get", "install", "--yes", "--no-install-recommends", "--"};
  words.insert(words.end(), names.begin(), names.end());
  Result<int> done = run(words, STDERR_FILENO, false);
  if (done && *done == 0) return true;
  // A new machine has no list of packages yet, an old one a list of what is gone.
  done = run({"apt-get", "update"}, STDERR_FILENO, false);
  if (done && *done == 0) done = run(std::move(words), STDERR_FILENO, false);
  return done && *done == 0;
}

std::string install_command(const std::vector<std::string>& names) {
  return fmt::format("sudo apt-get install --no-install-recommends {}", fmt::join(names, " "));
}

}  // namespace terrace::program

#include "program/release_source.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace terrace::program {
namespace {

constexpr size_t kBlockBytes = 128 << 10;
// tar's own: some files changed while it read them, as a log may.
constexpr int kTarFilesDiffer = 1;

Result<pid_t> spawn(std::vector<std::string> words, int output) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail_system("tar", error);
  return pid;
}

}  // namespace

Result<ReleaseSource> ReleaseSource::folder(const std::string& path,
                                            const std::vector<std::string>& left_out) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_system("pipe");
  Descriptor input(ends[0]);
  const Descriptor output(ends[1]);
  std::vector<std::string> words = {"tar",        "--create",         "--file=-",
                                    "--anchored", "--exclude=./.git", "--exclude=./.terrace"};
  for (const std::string& each : left_out) words.push_back("--exclude=./" + each);
  for (const char* word : {"--directory", path.c_str(), "."}) words.emplace_back(word);
  const Result<pid_t> tar = spawn(std::move(words), output.get());
  if (!tar) return std::unexpected(tar.error());
  return ReleaseSource(std::move(input), *tar);
}

ReleaseSource ReleaseSource::standard_input() {
  return ReleaseSource(Descriptor(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)), 0);
}

ReleaseSource::~ReleaseSource() {
  if (tar_ == 0 || !input_) return;
  ::kill(tar_, SIGTERM);
  (void)wait_for_tar();
}

Result<void> ReleaseSource::read(const Decompressor::Sink& sink) {
  if (Result<void> done = read_all(sink); !done) return done;
  if (tar_ != 0) {
    if (Result<void> done = wait_for_tar(); !done) return done;
  }
  if (!end_.complete()) return fail(Code::kClosed, "tar", "the archive was cut off: its end is missing");
  return {};
}

Result<void> ReleaseSource::read_all(const Decompressor::Sink& sink) {
  const Decompressor::Sink watched = [&](std::string_view plain) -> Result<void> {
    if (Result<void> seen = end_.add(plain); !seen) return seen;
    return sink(plain);
  };
  std::unique_ptr<Decompressor> decompressor;
  std::string beginning;
  std::vector<char> block(kBlockBytes);
  for (;;) {
    const ssize_t n = ::read(input_.get(), block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_system("read");
    std::string_view bytes(block.data(), static_cast<size_t>(n));
    if (!decompressor) {
      beginning += bytes;
      if (n > 0 && beginning.size() < kMagicBytes) continue;
      decompressor = decompressor_for(beginning);
      bytes = beginning;
    }
    if (Result<void> done = decompressor->add(bytes, watched); !done) return done;
    if (n == 0) break;
  }
  if (!decompressor->at_end()) return fail(Code::kClosed, "tar", "the compressed archive was cut off");
  return {};
}

Result<void> ReleaseSource::wait_for_tar() {
  int status = 0;
  input_.reset();
  while (::waitpid(tar_, &status, 0) < 0 && errno == EINTR) continue;
  tar_ = 0;
  if (WIFEXITED(status) && WEXITSTATUS(status) <= kTarFilesDiffer) return {};
  return fail(Code::kSystem, "tar", "the folder cannot be read whole");
}

}  // namespace terrace::program

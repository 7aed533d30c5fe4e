#include "lab/tool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/descriptor.h"
#include "base/file.h"

namespace terrace::lab {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{30};
constexpr size_t kSaidBytesMax = 4096;
// Where system tools are, whatever the caller's PATH says.
constexpr const char* kFolders[] = {"/usr/sbin", "/sbin", "/usr/bin", "/bin"};

std::string path_of(const std::string& tool) {
  for (const char* folder : kFolders) {
    std::string path = fmt::format("{}/{}", folder, tool);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

[[noreturn]] void become_tool(const std::vector<std::string>& words, int pidfd, int input, int said) {
  const std::string path = path_of(words[0]);
  if (pidfd >= 0 && ::setns(pidfd, CLONE_NEWNET) != 0) {
    const std::string wrong = fmt::format("the network namespace is gone: {}", ::strerror(errno));
    (void)!::write(said, wrong.data(), wrong.size());
    ::_exit(127);
  }
  ::dup2(input, 0);
  ::dup2(said, 1);
  ::dup2(said, 2);
  ::close_range(3, ~0U, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execv(path.c_str(), arguments.data());
  ::_exit(127);
}

// All that it says until it closes; at the deadline it is ended.
std::string listen_to(int said, pid_t pid) {
  std::string text;
  const auto deadline = Clock::now() + kPatience;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd readable{.fd = said, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&readable, 1, std::max<int>(0, static_cast<int>(left.count())));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      ::kill(pid, SIGKILL);
      return text + "no answer in 30 s";
    }
    char block[512];
    const ssize_t n = ::read(said, block, sizeof block);
    if (n <= 0) return text;
    if (text.size() < kSaidBytesMax) text.append(block, static_cast<size_t>(n));
  }
}

std::string run(int pidfd, const std::vector<std::string>& words, const std::string& input) {
  const Descriptor text(::memfd_create("input", MFD_CLOEXEC));
  int ends[2];
  if (!text || ::pipe2(ends, O_CLOEXEC) != 0) return ::strerror(errno);
  Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  if (const Result<void> written = write_all(text.get(), input); !written) return describe(written.error());
  ::lseek(text.get(), 0, SEEK_SET);
  const pid_t pid = ::fork();
  if (pid == 0) become_tool(words, pidfd, text.get(), writing.get());
  if (pid < 0) return ::strerror(errno);
  writing.reset();
  const std::string said = listen_to(reading.get(), pid);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  return fmt::format("{}: {}", fmt::join(words, " "), said.empty() ? "it failed" : said);
}

}  // namespace

std::string run_tool(const std::vector<std::string>& words, const std::string& input) {
  return run(-1, words, input);
}

std::string run_tool_in_network(int pidfd, const std::vector<std::string>& words, const std::string& input) {
  return run(pidfd, words, input);
}

std::string missing_tools() {
  if (path_of("ip").empty()) return "a lab needs ip(8): apt-get install iproute2";
  if (path_of("nft").empty()) return "a lab needs nft(8): apt-get install nftables";
  return "";
}

}  // namespace terrace::lab

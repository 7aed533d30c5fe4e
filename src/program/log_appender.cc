#include "program/log_appender.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace terrace::program {
namespace {

// Each further attempt means that the file was moved between two system calls.
constexpr int kAttemptsMax = 8;

}  // namespace

Result<Descriptor> LogAppender::open_once() const {
  Descriptor file(
      ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640));
  if (!file) return fail_system("open");
  struct stat about{};
  if (::fstat(file.get(), &about) != 0) return fail_system("fstat");
  if (!S_ISREG(about.st_mode) || (trust_ == Trust::kForeignFolder && about.st_nlink > 1))
    return fail(Code::kInvalid, "log", "not a plain file");
  return file;
}

Result<void> LogAppender::open() {
  for (int attempt = 1;; ++attempt) {
    Result<Descriptor> file = open_once();
    if (!file) return std::unexpected(file.error());
    // Where locks are not possible the file is never compressed; that is all.
    const bool compressed_now = ::flock(file->get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (attempt < kAttemptsMax && (compressed_now || !names(file->get()))) continue;
    file_ = std::move(*file);
    return {};
  }
}

bool LogAppender::names(int file) const {
  struct stat named{};
  struct stat open{};
  return ::stat(path_.c_str(), &named) == 0 && ::fstat(file, &open) == 0 && named.st_ino == open.st_ino &&
         named.st_dev == open.st_dev;
}

bool LogAppender::was_moved() const { return !names(file_.get()); }

size_t LogAppender::append(std::string_view lines) {
  size_t taken = 0;
  while (taken < lines.size()) {
    const ssize_t n = ::write(file_.get(), lines.data() + taken, lines.size() - taken);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    taken += static_cast<size_t>(n);
  }
  if (taken == 0 || taken == lines.size()) return taken;
  const size_t last = lines.substr(0, taken).rfind('\n');
  const size_t whole = last == std::string_view::npos ? 0 : last + 1;
  // Only while our part is the last thing in the file.
  struct stat about{};
  const off_t end = ::lseek(file_.get(), 0, SEEK_CUR);
  if (::fstat(file_.get(), &about) == 0 && about.st_size == end)
    (void)!::ftruncate(file_.get(), end - static_cast<off_t>(taken - whole));
  return whole;
}

}  // namespace terrace::program

#include "program/terrace_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "base/result.h"

namespace terrace::program {

namespace {

Result<Descriptor> open_terrace_log(const std::string& log_folder) {
  const std::string path = log_folder + "/terrace.log";
  Descriptor file(
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640));
  if (!file) return fail_system("open");
  // The folder belongs to an unprivileged user: no other file may stand here under
  // a second name, nor a pipe that blocks us.
  struct stat about{};
  if (::fstat(file.get(), &about) != 0) return fail_system("fstat");
  if (!S_ISREG(about.st_mode) || about.st_nlink != 1)
    return fail(Code::kInvalid, "terrace.log", "not a plain file");
  return file;
}

Descriptor copy_to(Log& log, Result<Descriptor> file) {
  if (!file) {
    log.warning("cannot open terrace.log", {{"error", describe(file.error())}});
    return {};
  }
  log.copy_to(file->get());
  return std::move(*file);
}

}  // namespace

Descriptor copy_to_terrace_log(Log& log, const std::string& log_folder) {
  return copy_to(log, open_terrace_log(log_folder));
}

Descriptor copy_to_terrace_log(Log& log, const std::string& log_folder, const User& own) {
  Result<Descriptor> file = open_terrace_log(log_folder);
  if (file && ::geteuid() == 0 && ::fchown(file->get(), own.uid, own.gid) != 0) file = fail_system("fchown");
  return copy_to(log, std::move(file));
}

}  // namespace terrace::program

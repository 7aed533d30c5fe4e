#include "program/site_folders.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/file.h"

namespace terrace::program {
namespace {

Result<void> make_one(const std::string& path, mode_t mode, const User& own) {
  if (Result<void> done = make_folders(path, mode); !done) return done;
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat about{};
  if (!folder || ::fstat(folder.get(), &about) != 0) return fail_system("open");
  if (about.st_uid != ::geteuid() && about.st_uid != own.uid)
    return fail(Code::kInvalid, "folder", "it belongs to another user");
  if (::fchown(folder.get(), own.uid, own.gid) != 0) return fail_system("chown");
  if (::fchmod(folder.get(), mode) != 0) return fail_system("chmod");
  return {};
}

}  // namespace

Result<void> make_site_folders(const Folders& folders, const User& own) {
  if (Result<void> done = make_one(folders.state, 0711, own); !done) return done;
  if (Result<void> done = make_one(folders.run, 0755, own); !done) return done;
  return make_one(folders.log, 0750, own);
}

Result<Descriptor> lock_site(const Folders& folders, pid_t& holder) {
  Descriptor file(
      ::open(pid_file(folders).c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644));
  if (!file) return fail_system("open");
  char text[32] = {};
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_system("flock");
    if (::pread(file.get(), text, sizeof text - 1, 0) > 0) holder = std::atoi(text);
    return fail(Code::kUnavailable, "lock", "the site runs already");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(file.get(), 0) != 0 || ::pwrite(file.get(), pid.data(), pid.size(), 0) < 0)
    return fail_system("write");
  return file;
}

}  // namespace terrace::program

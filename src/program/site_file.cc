#include "program/site_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "base/descriptor.h"
#include "base/file.h"

namespace terrace::program {
namespace {

constexpr mode_t kNewFileMode = 0644;

std::string file_behind(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), ::free);
  return real ? real.get() : path;
}

// As the file that it replaces.
Result<void> dress(const Descriptor& file, const std::string& path) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) return {};
  // Only root may give a file away; for others it is theirs anyway.
  if (::geteuid() == 0 && ::fchown(file.get(), about.st_uid, about.st_gid) != 0) return fail_system("chown");
  if (::fchmod(file.get(), about.st_mode & 07777) != 0) return fail_system("chmod");
  return {};
}

}  // namespace

Result<void> replace_site_file(const std::string& path, std::string_view text) {
  if (text.size() > kSiteFileBytesMax) return fail(Code::kLimit, "site file", "it is too long");
  const std::string real = file_behind(path);
  const std::string temporary = real + ".new";
  // The folder may be a person's: what stands in our way is removed, never followed.
  ::unlink(temporary.c_str());
  const Descriptor file(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kNewFileMode));
  if (!file) return fail_system("open");
  Result<void> done = write_all(file.get(), text);
  if (done) done = dress(file, real);
  if (done && ::fsync(file.get()) != 0) done = fail_system("fsync");
  if (done && ::rename(temporary.c_str(), real.c_str()) != 0) done = fail_system("rename");
  if (!done) {
    ::unlink(temporary.c_str());
    return done;
  }
  const Descriptor folder(
      ::open(real.substr(0, real.rfind('/') + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) return fail_system("fsync");
  return {};
}

}  // namespace terrace::program

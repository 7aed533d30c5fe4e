#include "database/sqlite.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/descriptor.h"

namespace terrace::database {

Result<void> prepare_folder(const std::string& path, uid_t user, gid_t group) {
  const bool made = ::mkdir(path.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return fail_system("mkdir");
  // All that follows is about this folder, not about what its name may become.
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat about{};
  if (!folder || ::fstat(folder.get(), &about) != 0) return fail_system("open");
  if (made && about.st_uid != user && ::fchown(folder.get(), user, group) != 0) return fail_system("chown");
  if (!made && about.st_uid != user)
    return fail(Code::kInvalid, "the app's folder", "it belongs to another user");
  if (::fchmod(folder.get(), 0700) != 0) return fail_system("chmod");
  return {};
}

std::string sqlite_path(std::string_view folder, std::string_view site) {
  return std::string(folder) + "/" + std::string(site) + ".sqlite3";
}

std::string sqlite_url(std::string_view folder, std::string_view site) {
  return "sqlite:///" + sqlite_path(folder, site);
}

}  // namespace terrace::database

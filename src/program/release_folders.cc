#include "program/release_folders.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/descriptor.h"

namespace terrace::program {
namespace {

constexpr uint32_t kNumberMax = 1'000'000'000;

Descriptor open_folder(int parent, const char* name) {
  return Descriptor(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

// <state>/releases: ours, so that nobody else puts something in the place of a release.
Result<Descriptor> releases_of(const Folders& folders) {
  const Descriptor state(::open(folders.state.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!state) return fail_system("state");
  if (::mkdirat(state.get(), "releases", 0755) != 0 && errno != EEXIST) return fail_system("mkdir");
  Descriptor releases = open_folder(state.get(), "releases");
  struct stat about{};
  if (!releases || ::fstat(releases.get(), &about) != 0) return fail_system("releases");
  if (about.st_uid != ::geteuid())
    return fail(Code::kInvalid, "releases", "the folder belongs to another user");
  return releases;
}

Result<void> give(const Descriptor& folder, const User& app, const User& own, mode_t mode) {
  if (::fchown(folder.get(), app.uid, own.gid) != 0) return fail_system("chown");
  if (::fchmod(folder.get(), mode) != 0) return fail_system("chmod");
  return {};
}

Result<void> make_writable_folder(const Folders& folders, const User& app, const User& own) {
  const std::string path = folders.state + "/writable";
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return fail_system("mkdir");
  const Descriptor folder = open_folder(AT_FDCWD, path.c_str());
  struct stat about{};
  if (!folder || ::fstat(folder.get(), &about) != 0) return fail_system("writable");
  if (about.st_uid != ::geteuid() && about.st_uid != app.uid)
    return fail(Code::kInvalid, "writable", "the folder belongs to another user");
  return give(folder, app, own, 02750);
}

}  // namespace

Result<void> make_release_folder(const Folders& folders, uint32_t number, const User& app, const User& own) {
  if (number == 0 || number > kNumberMax) return fail(Code::kInvalid, "release", "its number");
  if (Result<void> done = make_writable_folder(folders, app, own); !done) return done;
  const Result<Descriptor> releases = releases_of(folders);
  if (!releases) return std::unexpected(releases.error());
  const std::string name = std::to_string(number);
  if (::mkdirat(releases->get(), name.c_str(), 0700) != 0) return fail_system("mkdir");
  const Descriptor folder = open_folder(releases->get(), name.c_str());
  if (!folder) return fail_system("open");
  return give(folder, app, own, 0750);
}

Result<void> remove_release_folder(const Folders& folders, uint32_t number) {
  const Result<Descriptor> releases = releases_of(folders);
  if (!releases) return std::unexpected(releases.error());
  if (::unlinkat(releases->get(), std::to_string(number).c_str(), AT_REMOVEDIR) != 0)
    return fail_system("rmdir");
  return {};
}

}  // namespace terrace::program

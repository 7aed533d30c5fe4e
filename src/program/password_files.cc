#include "program/password_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <memory>

#include "base/file.h"

namespace terrace::program {
namespace {

std::string name_of(uint32_t slot, uint32_t generation) { return fmt::format("{}.{}", slot, generation); }

void remove_left(const Descriptor& folder, const std::function<bool(uint32_t, uint32_t)>& runs) {
  const int own = ::openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> open(own >= 0 ? ::fdopendir(own) : nullptr, ::closedir);
  if (!open) return;
  while (const dirent* each = ::readdir(open.get())) {
    const std::string_view name(each->d_name);
    uint32_t slot = 0;
    uint32_t generation = 0;
    const auto first = std::from_chars(name.data(), name.data() + name.size(), slot);
    if (first.ec != std::errc() || first.ptr == name.data() + name.size() || *first.ptr != '.') continue;
    const auto second = std::from_chars(first.ptr + 1, name.data() + name.size(), generation);
    if (second.ec == std::errc() && !runs(slot, generation)) ::unlinkat(folder.get(), each->d_name, 0);
  }
}

}  // namespace

// The folder above belongs to controller and worker, who could put another one here.
Result<Descriptor> PasswordFiles::open() const {
  if (::mkdir(folder_.c_str(), 0711) != 0 && errno != EEXIST) return fail_system("mkdir");
  Descriptor folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat about{};
  if (!folder || ::fstat(folder.get(), &about) != 0) return fail_system("open");
  if (about.st_uid != ::geteuid())
    return fail(Code::kInvalid, "the folder of passwords", "it belongs to another user");
  if (::fchmod(folder.get(), 0711) != 0) return fail_system("chmod");
  return folder;
}

Result<std::string> PasswordFiles::write(uint32_t slot, uint32_t generation, std::string_view password,
                                         const User& user,
                                         const std::function<bool(uint32_t, uint32_t)>& runs) const {
  const Result<Descriptor> folder = open();
  if (!folder) return std::unexpected(folder.error());
  remove_left(*folder, runs);
  const std::string name = name_of(slot, generation);
  const Descriptor file(
      ::openat(folder->get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400));
  if (!file) return fail_system("open");
  if (Result<void> done = write_all(file.get(), password); !done) return std::unexpected(done.error());
  if (change_owner_ && ::fchown(file.get(), user.uid, user.gid) != 0) return fail_system("chown");
  return folder_ + "/" + name;
}

void PasswordFiles::remove(uint32_t slot, uint32_t generation) const {
  ::unlink((folder_ + "/" + name_of(slot, generation)).c_str());
}

void PasswordFiles::remove_folder() const { ::rmdir(folder_.c_str()); }

}  // namespace terrace::program

#include "program/site_folders.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

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

// What is in the folder already, from before it had that group. In a folder of another
// user: only plain files with one name, and never through a link.
void share_files(const std::string& folder, gid_t group) {
  const std::unique_ptr<DIR, int (*)(DIR*)> all(::opendir(folder.c_str()), ::closedir);
  while (const dirent* entry = all ? ::readdir(all.get()) : nullptr) {
    const Descriptor file(
        ::openat(::dirfd(all.get()), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat about{};
    const bool plain = file && ::fstat(file.get(), &about) == 0 && S_ISREG(about.st_mode);
    if (plain && about.st_nlink == 1 && about.st_gid != group) (void)!::fchown(file.get(), -1, group);
  }
}

std::vector<std::string> ancestors_of(const std::string& path) {
  std::vector<std::string> folders;
  for (size_t i = 1; i <= path.size(); ++i) {
    if (i == path.size() || path[i] == '/') folders.push_back(path.substr(0, i));
  }
  return folders;
}

}  // namespace

std::string closed_folder(const std::string& path, const User& user) {
  const std::vector<std::string> folders = ancestors_of(path);
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (!become(user, true)) ::_exit(0);
    for (size_t i = 0; i < folders.size() && i < 255; ++i) {
      if (::access(folders[i].c_str(), X_OK) != 0) ::_exit(static_cast<int>(i) + 1);
    }
    ::_exit(0);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  const auto index = static_cast<size_t>(WIFEXITED(status) ? WEXITSTATUS(status) : 0);
  return index == 0 || index > folders.size() ? "" : folders[index - 1];
}

Result<void> make_site_folders(const Folders& folders, const User& own, const User& cluster) {
  if (Result<void> done = make_one(folders.state, 0711, own); !done) return done;
  hide_from_git(folders.state);
  if (Result<void> done = make_one(folders.run, 0755, own); !done) return done;
  if (Result<void> done = make_one(cluster_folder(folders), 0700, cluster); !done) return done;
  if (Result<void> done = make_one(folders.run + "/cluster", 0750, cluster); !done) return done;
  if (own.uid == cluster.uid) return make_one(folders.log, 0750, own);
  User shared = own;
  shared.gid = cluster.gid;
  if (Result<void> done = make_one(folders.log, 02750, shared); !done) return done;
  share_files(folders.log, cluster.gid);
  return {};
}

void hide_from_git(const std::string& state) {
  constexpr std::string_view kOwn = "/.terrace/state";
  if (!state.ends_with(kOwn)) return;
  const std::string path = state.substr(0, state.rfind('/')) + "/.gitignore";
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (file) (void)write_all(file.get(), "*\n");
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

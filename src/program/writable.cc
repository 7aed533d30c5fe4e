#include "program/writable.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <memory>

#include "base/descriptor.h"

namespace terrace::program {
namespace {

constexpr int kDepthMax = 64;
constexpr const char* kSet = "writable";

std::string reason() { return ::strerror(errno); }

// Below `folder` and through no link, whoever may change names there meanwhile.
Descriptor open_below(int folder, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return Descriptor(static_cast<int>(::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how)));
}

// "a/b/c" as "a/b" and "c"
struct Split {
  std::string above;
  std::string name;
};
Split split(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {.above = ".", .name = path};
  return {.above = path.substr(0, slash), .name = path.substr(slash + 1)};
}

class Writer {
 public:
  Writer(const WritablePlan& plan, int folder) : plan_(plan), folder_(folder) {}

  void allow(const std::string& path);
  void link_database();
  std::vector<std::string> said;

 private:
  struct Close {
    void operator()(DIR* folder) const { ::closedir(folder); }
  };

  bool make(const std::string& path);
  bool hand_over(int fd, const struct stat& about);
  void hand_over_below(int fd, int depth);
  void hand_over_entry(int fd, const char* name, int depth);
  void link_in(int above, const std::string& name);
  void replace_link(int above, const std::string& name);
  void take_over(int above, const std::string& name, const struct stat& about);
  std::string obstacle(int above, const std::string& name, const struct stat& about) const;
  void make_link(int above, const std::string& name);

  const WritablePlan& plan_;
  int folder_;
  int handed_ = 0;
};

// ---- [app] writable

void Writer::allow(const std::string& path) {
  handed_ = 0;
  Descriptor entry = open_below(folder_, path, O_RDONLY);
  const bool missing = !entry && errno == ENOENT;
  if (missing && make(path)) entry = open_below(folder_, path, O_RDONLY);
  struct stat about{};
  if (!entry || ::fstat(entry.get(), &about) != 0) {
    said.push_back(
        errno == ELOOP
            ? fmt::format("{} is a link, or behind one: its user and rights stay as they are", path)
            : fmt::format("{} cannot be made writable: {}", path, reason()));
    return;
  }
  if (plan_.change_owner) {
    (void)hand_over(entry.get(), about);
    if (S_ISDIR(about.st_mode)) hand_over_below(entry.get(), 0);
  }
  if (handed_ > kHandedMax)
    said.push_back(fmt::format("{} has too much in it to be handed over whole", path));
  if (missing) {
    said.push_back(fmt::format("{} was missing and is made", path));
  } else if (handed_ > 0) {
    said.push_back(fmt::format("{} belongs to {} now", path, plan_.user.name));
  }
}

// Folders on the way keep their owner; only the last one is handed over.
bool Writer::make(const std::string& path) {
  for (size_t end = path.find('/');; end = path.find('/', end + 1)) {
    const Split part = split(path.substr(0, end));
    const Descriptor above = open_below(folder_, part.above, O_RDONLY | O_DIRECTORY);
    if (!above) return false;
    if (::mkdirat(above.get(), part.name.c_str(), 0755) != 0 && errno != EEXIST) return false;
    if (end == std::string::npos) return true;
  }
}

// A file with two names may be somebody's outside of this folder; a link and a device
// are nobody's to write.
bool Writer::hand_over(int fd, const struct stat& about) {
  const bool file = S_ISREG(about.st_mode) && about.st_nlink == 1;
  if (!file && !S_ISDIR(about.st_mode)) return false;
  if (about.st_uid == plan_.user.uid) return true;
  if (++handed_ > kHandedMax) return false;
  return ::fchown(fd, plan_.user.uid, plan_.user.gid) == 0;
}

void Writer::hand_over_below(int fd, int depth) {
  if (depth >= kDepthMax) return;
  Descriptor copy = open_below(fd, ".", O_RDONLY | O_DIRECTORY);
  const std::unique_ptr<DIR, Close> folder(copy ? ::fdopendir(copy.get()) : nullptr);
  if (!folder) return;
  (void)copy.release();
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") hand_over_entry(fd, entry->d_name, depth);
    if (handed_ > kHandedMax) return;
  }
}

void Writer::hand_over_entry(int fd, const char* name, int depth) {
  const Descriptor entry = open_below(fd, name, O_RDONLY);
  struct stat about{};
  if (!entry || ::fstat(entry.get(), &about) != 0) return;
  if (hand_over(entry.get(), about) && S_ISDIR(about.st_mode)) hand_over_below(entry.get(), depth + 1);
}

// ---- [db] link

void Writer::link_database() {
  const Split path = split(plan_.database_link);
  const Descriptor above = open_below(folder_, path.above, O_RDONLY | O_DIRECTORY);
  if (!above) {
    said.push_back(fmt::format("{} cannot be linked to the database: {}", plan_.database_link, reason()));
    return;
  }
  link_in(above.get(), path.name);
}

void Writer::link_in(int above, const std::string& name) {
  struct stat about{};
  if (::fstatat(above, name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) return make_link(above, name);
  if (S_ISLNK(about.st_mode)) return replace_link(above, name);
  take_over(above, name, about);
}

// A link that leads nowhere is one of ours from before the folder was moved.
void Writer::replace_link(int above, const std::string& name) {
  char target[PATH_MAX];
  const ssize_t length = ::readlinkat(above, name.c_str(), target, sizeof target);
  if (length >= 0 && std::string_view(target, static_cast<size_t>(length)) == plan_.database) return;
  struct stat behind{};
  if (::fstatat(above, name.c_str(), &behind, 0) == 0) {
    said.push_back(fmt::format("{} is a link to another file than the site's database and stays so",
                               plan_.database_link));
    return;
  }
  if (::unlinkat(above, name.c_str(), 0) == 0) make_link(above, name);
}

void Writer::make_link(int above, const std::string& name) {
  if (::symlinkat(plan_.database.c_str(), above, name.c_str()) != 0) {
    said.push_back(fmt::format("{} cannot be linked to the database: {}", plan_.database_link, reason()));
    return;
  }
  said.push_back(fmt::format("{} leads to the site's database, {}", plan_.database_link, plan_.database));
}

// Why the file cannot become the site's database; empty when it can.
std::string Writer::obstacle(int above, const std::string& name, const struct stat& about) const {
  if (!S_ISREG(about.st_mode) || about.st_nlink != 1) return "it is no ordinary file";
  struct stat other{};
  if (::stat(plan_.database.c_str(), &other) == 0) return "the site has a database already";
  for (const char* end : {"-wal", "-journal"}) {
    if (::fstatat(above, (name + end).c_str(), &other, AT_SYMLINK_NOFOLLOW) == 0 && other.st_size > 0)
      return name + end + " says that a program has it open";
  }
  return "";
}

// What somebody began with becomes the site's database: nothing is copied, so whoever
// has it open goes on with the same file.
void Writer::take_over(int above, const std::string& name, const struct stat& about) {
  std::string why = obstacle(above, name, about);
  const Descriptor file = open_below(above, name, O_RDONLY);
  struct stat opened{};
  if (why.empty() && (!file || ::fstat(file.get(), &opened) != 0 || opened.st_ino != about.st_ino))
    why = reason();
  if (why.empty() &&
      ::renameat2(above, name.c_str(), AT_FDCWD, plan_.database.c_str(), RENAME_NOREPLACE) != 0)
    why = fmt::format("{}; copy it there", reason());
  if (!why.empty()) {
    said.push_back(fmt::format("{} does not become the site's database, {}: {}", plan_.database_link,
                               plan_.database, why));
    return;
  }
  if (plan_.change_owner) (void)!::fchown(file.get(), plan_.user.uid, plan_.user.gid);
  (void)!::fchmod(file.get(), 0600);
  said.push_back(fmt::format("{} became the site's database", plan_.database_link));
  make_link(above, name);
}

// Links on the way are followed as long as they stay within.
Result<Descriptor> open_within(const std::string& folder, const std::string& path) {
  const Descriptor top(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!top) return fail_system(kSet);
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const long opened = ::syscall(SYS_openat2, top.get(), path.c_str(), &how, sizeof how);
  if (opened < 0) return fail_system(kSet);
  return Descriptor(static_cast<int>(opened));
}

// Nothing of the machine's own is handed over: a site file in / or below /etc stands
// beside no project.
bool is_projects_folder(const std::string& folder) {
  return folder.size() > 1 && folder.starts_with('/') && folder != "/etc" && !folder.starts_with("/etc/");
}

Result<Descriptor> open_app_folder(const WritablePlan& plan) {
  if (!plan.change_owner) {
    Descriptor folder(::open(plan.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return fail_system(kSet);
    return folder;
  }
  if (!is_projects_folder(plan.within)) return fail_system(kSet, EXDEV);
  if (plan.folder == plan.within) return open_within(plan.within, ".");
  if (!plan.folder.starts_with(plan.within + "/")) return fail_system(kSet, EXDEV);
  return open_within(plan.within, plan.folder.substr(plan.within.size() + 1));
}

}  // namespace

Result<std::vector<std::string>> make_writable(const WritablePlan& plan) {
  Result<Descriptor> opened = open_app_folder(plan);
  if (!opened && opened.error().system == EXDEV) {
    return std::vector{fmt::format(
        "{} is not below the folder of the site file: users and rights in it stay as they are", plan.folder)};
  }
  if (!opened) return std::unexpected(opened.error());
  const Descriptor folder = std::move(*opened);
  Writer writer(plan, folder.get());
  for (const std::string& path : plan.writable) writer.allow(path);
  if (!plan.database_link.empty()) writer.link_database();
  return std::move(writer.said);
}

}  // namespace terrace::program

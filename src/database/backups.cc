#include "database/backups.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace terrace::database {
namespace {

constexpr std::string_view kBackupEnding = ".sqlite.zst";
constexpr std::string_view kBeforeRestore = "before-restore-";
constexpr std::string_view kBeforeRestoreEnding = ".sqlite3";
constexpr const char* kTimeForm = "%Y-%m-%dT%H%M%SZ";
// A folder with more is not ours alone; what is beyond is not seen.
constexpr size_t kNamesMax = 100'000;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

Result<std::vector<std::string>> names_in(const std::string& path) {
  const std::unique_ptr<DIR, CloseFolder> folder(::opendir(path.c_str()));
  if (!folder && errno == ENOENT) return std::vector<std::string>{};
  if (!folder) return fail_system("opendir");
  std::vector<std::string> names;
  for (const dirent* entry = ::readdir(folder.get()); entry != nullptr && names.size() < kNamesMax;
       entry = ::readdir(folder.get()))
    names.emplace_back(entry->d_name);
  return names;
}

std::optional<WallTime> parse_time(std::string_view text) {
  tm parts{};
  const std::string ended(text);
  const char* rest = ::strptime(ended.c_str(), kTimeForm, &parts);
  if (rest == nullptr || *rest != 0) return std::nullopt;
  const WallTime time = std::chrono::system_clock::from_time_t(::timegm(&parts));
  // One spelling only: strptime(3) forgives blanks and missing digits.
  return time_in_name(time) == text ? std::optional(time) : std::nullopt;
}

// What stands between the two, when the text has both.
std::optional<std::string_view> between(std::string_view text, std::string_view before,
                                        std::string_view after) {
  if (text.size() < before.size() + after.size() || !text.starts_with(before) || !text.ends_with(after))
    return std::nullopt;
  return text.substr(before.size(), text.size() - before.size() - after.size());
}

bool is_unfinished(std::string_view name) {
  return name == ".copy" || name == ".test" || name.starts_with(".copy-") || name.starts_with(".test-") ||
         name.ends_with(".part");
}

}  // namespace

std::string time_in_name(WallTime time) {
  const time_t seconds = std::chrono::system_clock::to_time_t(time);
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  return std::string(text, ::strftime(text, sizeof text, kTimeForm, &parts));
}

std::string backup_name(std::string_view site, WallTime time) {
  return std::string(site) + "-" + time_in_name(time) + std::string(kBackupEnding);
}

std::string before_restore_name(WallTime time) {
  return std::string(kBeforeRestore) + time_in_name(time) + std::string(kBeforeRestoreEnding);
}

std::optional<BackupFile> parse_backup_name(std::string_view name, std::string_view site) {
  BackupKind kind = BackupKind::kBackup;
  std::optional<std::string_view> text = between(name, std::string(site) + "-", kBackupEnding);
  if (!text) {
    text = between(name, kBeforeRestore, kBeforeRestoreEnding);
    kind = BackupKind::kBeforeRestore;
  }
  const std::optional<WallTime> made = text ? parse_time(*text) : std::nullopt;
  if (!made) return std::nullopt;
  return BackupFile{.name = std::string(name), .kind = kind, .made = *made};
}

Result<std::vector<BackupFile>> list_backups(const std::string& folder, std::string_view site) {
  const Result<std::vector<std::string>> names = names_in(folder);
  if (!names) return std::unexpected(names.error());
  std::vector<BackupFile> backups;
  for (const std::string& name : *names) {
    std::optional<BackupFile> file = parse_backup_name(name, site);
    struct stat about{};
    if (!file || ::lstat((folder + "/" + name).c_str(), &about) != 0 || !S_ISREG(about.st_mode)) continue;
    file->bytes = about.st_size;
    backups.push_back(std::move(*file));
  }
  std::ranges::sort(backups, [](const BackupFile& one, const BackupFile& other) {
    return one.made != other.made ? one.made > other.made : one.name > other.name;
  });
  return backups;
}

const BackupFile* find_backup(const std::vector<BackupFile>& backups, std::string_view asked) {
  const auto found = std::ranges::find_if(backups, [&](const BackupFile& file) {
    return asked.empty() ? file.kind == BackupKind::kBackup : file.name == asked;
  });
  return found == backups.end() ? nullptr : &*found;
}

std::vector<std::string> beyond_retention(const std::vector<BackupFile>& backups, size_t kept,
                                          std::string_view just_made) {
  std::vector<std::string> gone;
  const bool made_is_one = std::ranges::any_of(backups, [&](const BackupFile& file) {
    return file.name == just_made && file.kind == BackupKind::kBackup;
  });
  size_t left = std::max<size_t>(kept, 1) - (made_is_one ? 1 : 0);
  size_t aside_left = kBeforeRestoreKept;
  for (const BackupFile& file : backups) {
    size_t& room = file.kind == BackupKind::kBackup ? left : aside_left;
    if (file.name == just_made) continue;
    if (room == 0) {
      gone.push_back(file.name);
    } else {
      --room;
    }
  }
  return gone;
}

Result<Descriptor> lock_backups(const std::string& folder) {
  const std::string path = folder + "/.lock";
  Descriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return fail_system("open");
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK ? fail(Code::kUnavailable, "lock", "another backup or restore is under way")
                                : fail_system("flock");
  }
  const Result<std::vector<std::string>> names = names_in(folder);
  if (!names) return std::unexpected(names.error());
  for (const std::string& name : *names) {
    if (is_unfinished(name)) ::unlink((folder + "/" + name).c_str());
  }
  return lock;
}

Result<void> sync_folder(const std::string& folder) {
  const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened) return fail_system("open");
  if (::fsync(opened.get()) != 0) return fail_system("fsync");
  return {};
}

}  // namespace terrace::database

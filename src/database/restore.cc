#include "database/restore.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/descriptor.h"
#include "database/backups.h"

namespace terrace::database {
namespace {

constexpr const char* kRestoring = ".restoring";
// What SQLite keeps beside a database (https://sqlite.org/tempfiles.html); the -shm is an
// index of the -wal and is made anew from it.
constexpr std::array<const char*, 2> kLogs{"-wal", "-journal"};
constexpr std::array<const char*, 3> kBeside{"-wal", "-shm", "-journal"};

bool exists(const std::string& path) {
  struct stat about{};
  return ::lstat(path.c_str(), &about) == 0;
}

Result<void> sync_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return fail_system("open");
  if (::fsync(file.get()) != 0) return fail_system("fsync");
  return {};
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// For folders on two file systems: whole or not at all.
Result<void> copy_file(const std::string& from, const std::string& to) {
  const std::string part = to + ".part";
  const Descriptor source(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  const Descriptor target(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!source || !target) return fail_system("open");
  for (;;) {
    const ssize_t n = ::copy_file_range(source.get(), nullptr, target.get(), nullptr, 1 << 26, 0);
    if (n < 0 && errno != EINTR) return fail_system("copy_file_range");
    if (n == 0) break;
  }
  if (::fsync(target.get()) != 0) return fail_system("fsync");
  if (::rename(part.c_str(), to.c_str()) != 0) return fail_system("rename");
  return {};
}

// Whether both are there and are not the same file; on two file systems they may be
// copies of each other.
bool differ(const std::string& one, const std::string& other) {
  struct stat first{};
  struct stat second{};
  return ::lstat(one.c_str(), &first) == 0 && ::lstat(other.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino != second.st_ino;
}

// `from` is under the name `to`, too. Done before is as good as done now, but for a file
// of something else under that name.
Result<void> keep(const std::string& from, const std::string& to) {
  if (differ(from, to)) return fail(Code::kInvalid, "keep", "the name for the present database is taken");
  if (!exists(from) || exists(to)) return {};
  if (::link(from.c_str(), to.c_str()) == 0) return {};
  if (errno == EXDEV || errno == EPERM) return copy_file(from, to);
  return fail_system("link");
}

// Finishes what the app left unfinished, as its next start would have. A database that
// is too damaged for that is kept as it is, with its logs.
void fold(const std::string& database, const Say& say) {
  Result<SqliteFile> file = SqliteFile::open(database, SqliteFile::Use::kShared);
  Result<void> folded = file ? file->fold_wal() : std::unexpected(file.error());
  if (!folded) say("the present database is kept with its logs as they are: " + describe(folded.error()));
}

Result<void> keep_present(const RestoreOptions& options, const std::string& kept, const Say& say) {
  const std::string target = options.folder + "/" + kept;
  // Without the database the logs beside it are those of another one.
  if (!exists(options.database)) return {};
  fold(options.database, say);
  for (const char* suffix : kLogs) {
    if (Result<void> done = keep(options.database + suffix, target + suffix); !done) return done;
  }
  if (Result<void> done = keep(options.database, target); !done) return done;
  return sync_folder(options.folder);
}

// The prepared database becomes the one in place.
Result<void> put_in_place(const std::string& database) {
  // Else they would be taken for those of the restored database, and damage it.
  for (const char* suffix : kBeside) {
    const std::string stale = database + suffix;
    if (::unlink(stale.c_str()) != 0 && errno != ENOENT) return fail_system("unlink");
  }
  if (Result<void> synced = sync_folder(folder_of(database)); !synced) return synced;
  if (::rename((database + kRestoring).c_str(), database.c_str()) != 0) return fail_system("rename");
  return sync_folder(folder_of(database));
}

// The present database is still in place; a swap may have taken its logs away. What was
// kept is the same file, which lives on.
void take_back(const RestoreOptions& options, const std::string& kept) {
  const std::string target = options.folder + "/" + kept;
  if (differ(target, options.database)) return;
  for (const char* suffix : kLogs) (void)keep(target + suffix, options.database + suffix);
  for (const char* suffix : {"-wal", "-journal", ""}) ::unlink((target + suffix).c_str());
}

std::string free_name_for_present(const std::string& folder) {
  WallTime time = std::chrono::system_clock::now();
  while (exists(folder + "/" + before_restore_name(time))) time += std::chrono::seconds(1);
  return before_restore_name(time);
}

}  // namespace

Result<Prepared> prepare_restore(const RestoreOptions& options, const std::string& name, const Say& say) {
  const Result<Descriptor> lock = lock_backups(options.folder);
  if (!lock) return std::unexpected(lock.error());
  const std::optional<BackupFile> file = parse_backup_name(name, options.site);
  const std::string path = options.folder + "/" + name;
  if (!file || !exists(path)) return fail(Code::kNotFound, "restore", "there is no such backup");
  const std::string target = options.database + kRestoring;
  abandon_restore(options);
  say("unpacking and checking " + name);
  if (file->kind == BackupKind::kBeforeRestore) {
    if (const Result<void> copied = copy_database(path, target, {}, say); !copied) {
      abandon_restore(options);
      return std::unexpected(copied.error());
    }
  } else if (const Result<Contents> unpacked = unpack_backup(path, target, say); !unpacked) {
    return std::unexpected(unpacked.error());
  }
  Prepared prepared;
  Result<SqliteFile> opened = SqliteFile::open(target, SqliteFile::Use::kOwnCopy);
  std::string finding;
  Result<void> whole = opened ? opened->check_integrity(finding) : std::unexpected(opened.error());
  if (whole) whole = sync_file(target);
  if (whole) whole = sync_folder(folder_of(target));
  if (!whole) {
    if (!finding.empty()) say("integrity check: " + finding);
    abandon_restore(options);
    return std::unexpected(whole.error());
  }
  if (const Result<Contents> contents = opened->contents()) prepared.rows = contents->row_count();
  struct stat about{};
  if (::stat(target.c_str(), &about) == 0) prepared.bytes = about.st_size;
  prepared.keep_as = free_name_for_present(options.folder);
  return prepared;
}

Result<void> swap_restored(const RestoreOptions& options, const std::string& kept, const Say& say) {
  const std::string restored = options.database + kRestoring;
  if (!exists(restored)) return {};
  const Result<Descriptor> lock = lock_backups(options.folder);
  if (!lock) return std::unexpected(lock.error());
  Result<void> done = keep_present(options, kept, say);
  if (done) done = put_in_place(options.database);
  if (!done && exists(restored)) take_back(options, kept);
  return done;
}

void abandon_restore(const RestoreOptions& options, const std::string& kept) {
  if (!exists(options.database + kRestoring)) return;
  if (!kept.empty()) take_back(options, kept);
  for (const char* suffix : {"-wal", "-shm", "-journal", ""})
    ::unlink((options.database + kRestoring + suffix).c_str());
}

}  // namespace terrace::database

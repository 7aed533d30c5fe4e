#include "database/sqlite_backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/descriptor.h"
#include "database/backups.h"
#include "database/zstd_file.h"

namespace terrace::database {
namespace {

using std::chrono::steady_clock;

// For the lock that the copy begins with.
constexpr std::chrono::milliseconds kPatience{10'000};
// Before the lock is asked for again that a writer has at the moment.
constexpr std::chrono::milliseconds kBusyPause{1};
constexpr int kPagesFirst = 256;
constexpr int kPagesMax = 1 << 20;
// Names that do not exist yet are looked for so many seconds ahead.
constexpr int kNamesTried = 60;

struct Finish {
  void operator()(sqlite3_backup* backup) const { ::sqlite3_backup_finish(backup); }
};

// Removes a file at its end.
class Temporary {
 public:
  explicit Temporary(std::string path) : path_(std::move(path)) { remove(); }
  ~Temporary() { remove(); }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  const std::string& path() const { return path_; }
  void remove() const { ::unlink(path_.c_str()); }

 private:
  std::string path_;
};

int64_t size_of(const std::string& path) {
  struct stat about{};
  return ::stat(path.c_str(), &about) == 0 ? about.st_size : 0;
}

// The steps of one copy.
class Copy {
 public:
  Copy(sqlite3_backup& backup, const CopyOptions& options, bool wal, const Say& say)
      : backup_(backup), options_(options), wal_(wal), say_(say), end_(steady_clock::now() + options.limit) {}

  Result<void> run() {
    for (;;) {
      const auto begin = steady_clock::now();
      const int code = ::sqlite3_backup_step(&backup_, pages_);
      if (code == SQLITE_DONE) return {};
      if (code != SQLITE_OK && code != SQLITE_BUSY && code != SQLITE_LOCKED) return fail_sqlite("copy", code);
      if (steady_clock::now() > end_)
        return fail(Code::kTimeout, "copy",
                    "it changes faster than it can be copied: journal_mode = WAL helps");
      if (code == SQLITE_OK) progressed(steady_clock::now() - begin);
      if (code != SQLITE_OK) std::this_thread::sleep_for(kBusyPause);
      if (code == SQLITE_OK && !wal_) std::this_thread::sleep_for(options_.pause);
    }
  }

 private:
  // Tells about each tenth, and adapts the size of a step.
  void progressed(Duration took) {
    const int left = ::sqlite3_backup_remaining(&backup_);
    const int total = std::max(1, ::sqlite3_backup_pagecount(&backup_));
    const int tenth = (total - left) * 10 / total;
    if (tenth > said_) say_(fmt::format("copied {} %", tenth * 10));
    said_ = tenth;
    // A write began it anew: that it ends at all needs longer steps.
    const bool again = left_ >= 0 && left > left_ - pages_ / 2;
    left_ = left;
    const int64_t fits = took.count() <= 0 ? kPagesMax : options_.hold / took * pages_;
    if (again) pages_ = static_cast<int>(std::clamp<int64_t>(pages_ * 2L, 1, kPagesMax));
    pages_ = static_cast<int>(std::clamp<int64_t>(pages_, 1, std::max<int64_t>(1, fits)));
  }

  sqlite3_backup& backup_;
  const CopyOptions& options_;
  bool wal_;
  const Say& say_;
  steady_clock::time_point end_;
  int pages_ = kPagesFirst;
  int left_ = -1;
  int said_ = 0;
};

// Checked, and what is in it.
Result<Contents> look_into(const std::string& path, const Say& say) {
  Result<SqliteFile> file = SqliteFile::open(path, SqliteFile::Use::kOwnCopy);
  if (!file) return std::unexpected(file.error());
  std::string finding;
  if (const Result<void> whole = file->check_integrity(finding); !whole) {
    say("integrity check: " + finding);
    return std::unexpected(whole.error());
  }
  return file->contents();
}

// Two backups within a second get names of two seconds.
std::string free_name(const BackupOptions& options) {
  std::string name;
  for (int i = 0; i < kNamesTried; ++i) {
    name = backup_name(options.site, options.now + std::chrono::seconds(i));
    if (::access((options.folder + "/" + name).c_str(), F_OK) != 0) break;
  }
  return name;
}

// The copy as a tested file under `part`.
Result<BackupMade> pack(const Temporary& copy, const Temporary& part, const std::string& test,
                        const Say& say) {
  say("checking the copy");
  const Result<Contents> contents = look_into(copy.path(), say);
  if (!contents) return std::unexpected(contents.error());
  BackupMade made{.database_bytes = size_of(copy.path()), .rows = contents->row_count()};
  say("compressing");
  const Result<int64_t> bytes = compress_file(copy.path(), part.path());
  if (!bytes) return std::unexpected(bytes.error());
  made.bytes = *bytes;
  copy.remove();
  say("testing that it can be restored");
  const Temporary unpacked(test);
  const Result<Contents> again = unpack_backup(part.path(), unpacked.path(), say);
  if (!again) return std::unexpected(again.error());
  if (*again != *contents) return fail(Code::kInvalid, "restore test", "it does not hold what was copied");
  return made;
}

// Returns how many backups are left. An old one that cannot be removed is no reason to
// call the new one a failure.
size_t remove_old(const BackupOptions& options, const std::string& name) {
  const Result<std::vector<BackupFile>> backups = list_backups(options.folder, options.site);
  if (!backups) return 0;
  size_t left = static_cast<size_t>(std::ranges::count_if(
      *backups, [](const BackupFile& file) { return file.kind == BackupKind::kBackup; }));
  for (const std::string& old : beyond_retention(*backups, options.kept, name)) {
    const bool backup = parse_backup_name(old, options.site)->kind == BackupKind::kBackup;
    const std::string path = options.folder + "/" + old;
    if (::unlink(path.c_str()) == 0 && backup) --left;
    if (!backup) {
      for (const char* suffix : {"-wal", "-shm", "-journal"}) ::unlink((path + suffix).c_str());
    }
  }
  return left;
}

}  // namespace

Result<void> copy_database(const std::string& from, const std::string& to, const CopyOptions& options,
                           const Say& say) {
  Result<SqliteFile> source =
      SqliteFile::open(from, SqliteFile::Use::kShared, std::min(options.limit, kPatience));
  if (!source) return std::unexpected(source.error());
  const Result<bool> wal = source->has_wal();
  if (!wal) return std::unexpected(wal.error());
  if (*wal) {
    if (Result<void> begun = source->begin_reading(); !begun) return begun;
  }
  // SQLite would make it with the mode of our umask.
  Descriptor(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)).reset();
  const Result<SqliteFile> target = SqliteFile::open(to, SqliteFile::Use::kScratch);
  if (!target) return std::unexpected(target.error());
  const std::unique_ptr<sqlite3_backup, Finish> backup(
      ::sqlite3_backup_init(target->get(), "main", source->get(), "main"));
  if (!backup) return fail_sqlite("copy", ::sqlite3_errcode(target->get()));
  // The time that a step takes shall be that of copying, not of waiting for a lock.
  ::sqlite3_busy_timeout(source->get(), 0);
  return Copy(*backup, options, *wal, say).run();
}

Result<BackupMade> back_up(const BackupOptions& options, const Say& say) {
  const Result<Descriptor> lock = lock_backups(options.folder);
  if (!lock) return std::unexpected(lock.error());
  const std::string name = free_name(options);
  const std::string path = options.folder + "/" + name;
  const Temporary copy(options.folder + "/.copy");
  const Temporary part(path + ".part");
  say("copying the database");
  if (const Result<void> copied = copy_database(options.database, copy.path(), options.copy, say); !copied)
    return std::unexpected(copied.error());
  Result<BackupMade> made = pack(copy, part, options.folder + "/.test", say);
  if (!made) return made;
  if (::rename(part.path().c_str(), path.c_str()) != 0) return fail_system("rename");
  if (const Result<void> synced = sync_folder(options.folder); !synced)
    return std::unexpected(synced.error());
  made->name = name;
  made->kept = remove_old(options, name);
  return made;
}

Result<Contents> unpack_backup(const std::string& backup, const std::string& into, const Say& say) {
  const Result<int64_t> unpacked = decompress_file(backup, into);
  if (!unpacked) return std::unexpected(unpacked.error());
  Result<Contents> contents = look_into(into, say);
  if (!contents) ::unlink(into.c_str());
  return contents;
}

}  // namespace terrace::database

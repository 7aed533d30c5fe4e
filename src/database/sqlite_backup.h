#pragma once

// A backup of a SQLite database that others use meanwhile.
//
//  1. copy: SQLite's online backup (https://sqlite.org/backup.html) into a file of ours.
//     With a write-ahead log it reads one state of the database and blocks nobody.
//     Without one a reader keeps writers from committing, so it reads in short steps
//     and lets go between them; a write in between makes it begin again, with longer
//     steps, none longer than `hold`.
//  2. check: PRAGMA integrity_check of the copy. A damaged database makes no backup.
//  3. compress: with zstd into `….part`, fsync.
//  4. test: decompress it again, check, compare schema and row counts with the copy.
//  5. keep: only now it gets its name; then the oldest beyond `kept` go.
//
// It needs free space of twice the size of the database. Blocks; runs as the app's
// user in a process of its own, never as root: what it reads is the app's.

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "database/sqlite_file.h"

namespace terrace::database {

// A sentence about what is being done, or what is wrong.
using Say = std::function<void(std::string_view text)>;

struct CopyOptions {
  // How long one step may hold the read lock, where it blocks writers. Most
  // frameworks wait 5 s for a lock.
  std::chrono::milliseconds hold{500};
  // Between two steps.
  std::chrono::milliseconds pause{20};
  // For the whole copy; then kTimeout.
  std::chrono::milliseconds limit = std::chrono::hours(1);
};

// Copies the database at `from` into a new file `to`, which is not fsynced.
Result<void> copy_database(const std::string& from, const std::string& to, const CopyOptions& options,
                           const Say& say);

struct BackupOptions {
  std::string database;
  std::string folder;  // of the backups; must exist
  std::string site;
  size_t kept = 14;
  WallTime now;
  CopyOptions copy;
};

struct BackupMade {
  std::string name;
  int64_t bytes = 0;           // compressed
  int64_t database_bytes = 0;  // of the copy
  int64_t rows = 0;
  size_t kept = 0;  // backups that are there now
};

// kNotFound when the app has made no database yet; kUnavailable when a backup or a
// restore is under way; kInvalid when the database is damaged: `say` tells how. Whatever
// fails, the older backups stay.
Result<BackupMade> back_up(const BackupOptions& options, const Say& say);

// Whether the backup in this file can be restored: decompresses it to `into`, a new file,
// and checks that. What is in it. A failure leaves no `into` behind.
Result<Contents> unpack_backup(const std::string& backup, const std::string& into, const Say& say);

}  // namespace terrace::database

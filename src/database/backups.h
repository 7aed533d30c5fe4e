#pragma once

// The folder of backups: names, what is there, what may go.
//
//   shop-2026-11-23T020000Z.sqlite.zst               a backup; checked, or it has not this name
//   before-restore-2026-11-23T021500Z.sqlite3        a database that a restore replaced
//   .lock, .copy, .test, shop-….sqlite.zst.part      of a backup in progress, or one that was killed
//
// Only the app's user reads the folder. Times in names are UTC.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/result.h"

namespace terrace::database {

enum class BackupKind : uint8_t { kBackup, kBeforeRestore };

struct BackupFile {
  std::string name;
  BackupKind kind = BackupKind::kBackup;
  WallTime made;      // to the second
  int64_t bytes = 0;  // on the disk
};

// "2026-11-23T020000Z"
std::string time_in_name(WallTime time);
std::string backup_name(std::string_view site, WallTime time);
std::string before_restore_name(WallTime time);
// What the name says; nothing when it is none of ours. `bytes` stays 0.
std::optional<BackupFile> parse_backup_name(std::string_view name, std::string_view site);

// Those of this site, the newest first. An absent folder holds none.
Result<std::vector<BackupFile>> list_backups(const std::string& folder, std::string_view site);

// What a person means by `asked`: a whole name, or the newest backup when it is empty.
const BackupFile* find_backup(const std::vector<BackupFile>& backups, std::string_view asked);

// What to remove so that `kept` backups remain, and as many databases that a restore
// replaced as kBeforeRestoreKept. Never `just_made`, and never the last backup.
constexpr size_t kBeforeRestoreKept = 3;
std::vector<std::string> beyond_retention(const std::vector<BackupFile>& backups, size_t kept,
                                          std::string_view just_made);

// Held while somebody changes the folder; kUnavailable when another one does. Removes
// what a killed predecessor left unfinished.
Result<Descriptor> lock_backups(const std::string& folder);

// fsync(2) of a folder: the names in it are on the disk.
Result<void> sync_folder(const std::string& folder);

}  // namespace terrace::database

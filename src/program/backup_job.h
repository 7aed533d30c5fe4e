#pragma once

// What a backup or restore job (job_commands.h) says last, as one line of JSON.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace terrace::program {

struct BackupJobResult {
  bool ok = false;
  std::string error;    // for a person
  bool absent = false;  // there is no database yet, or no such backup
  std::string name;     // of the backup
  std::string keep_as;  // of a prepared restore: the name for the database in place
  int64_t bytes = 0;
  int64_t database_bytes = 0;
  int64_t rows = 0;
  int64_t kept = 0;  // backups that are there now
};

std::string backup_job_line(const BackupJobResult& result);
// Nothing when the line is none of those.
std::optional<BackupJobResult> parse_backup_job_line(std::string_view line);

}  // namespace terrace::program

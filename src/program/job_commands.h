#pragma once

// Commands of our own binary that only ever run as jobs (jobs.h): as the app's user,
// in a job's isolation, on what belongs to that user. No help shows them. Each says on
// standard output what it does, ends with an exit status of command_line.h, and takes
// its arguments without its own name.

#include <span>
#include <string_view>

namespace terrace::program {

using JobCommand = int (*)(std::span<const char* const> arguments);

// Null when `name` is none of them.
JobCommand find_job_command(std::string_view name);

// job-link RELEASE FOLDER WRITABLE LINK DATABASE PATH…: makes each PATH of the release a
// link to the same path below WRITABLE, where it outlives releases, and LINK one to the
// file DATABASE. An empty LINK is none. The first time what is there is copied: from
// FOLDER, from which the site ran until now (empty: from a release), else from the
// release. Later releases give way to what is kept; as long as there is a FOLDER, a copy
// made before is old and gives way to it.
int run_job_link(std::span<const char* const> arguments);

// Of the embedded database. Their last line is the result as JSON (backup_job.h).
// job-backup DATABASE FOLDER SITE KEPT
int run_job_backup(std::span<const char* const> arguments);
// job-restore-prepare DATABASE FOLDER SITE BACKUP
int run_job_restore_prepare(std::span<const char* const> arguments);
// job-restore-swap DATABASE FOLDER SITE NAME-FOR-THE-PRESENT-ONE
int run_job_restore_swap(std::span<const char* const> arguments);
// job-restore-abandon DATABASE FOLDER SITE NAME-FOR-THE-PRESENT-ONE
int run_job_restore_abandon(std::span<const char* const> arguments);

// job-late-writes FOLDER WRITABLE PATH…: after the switch from FOLDER to the first release,
// what the site has still written there, below each PATH, and WRITABLE has not.
int run_job_late_writes(std::span<const char* const> arguments);

}  // namespace terrace::program

#pragma once

// Putting a backup in the place of the database, in two halves:
//
//  - prepare_restore() while the app runs: `<database>.restoring`, checked.
//  - swap_restored() while nobody uses the database: the present one is kept in the
//    folder of backups, what a write-ahead log or a rollback journal still holds
//    included, and the restored one takes its name by one rename(2).
//
// Whoever begins a swap notes that somewhere first, and does it again when it was cut
// off, before anybody opens the database: it goes on from wherever it was. Until the
// rename the old database is the one in place, with everything that was committed to it,
// or the kept copy is.
//
// Blocks; runs as the app's user. Each holds the lock of the folder meanwhile: kUnavailable
// when a backup is under way.

#include <string>
#include <string_view>

#include "base/result.h"
#include "database/sqlite_backup.h"

namespace terrace::database {

struct RestoreOptions {
  std::string database;
  std::string folder;  // of the backups
  std::string site;
};

struct Prepared {
  int64_t bytes = 0;
  int64_t rows = 0;
  std::string keep_as;  // a name that is free for the present database
};

// `name` is one that list_backups() gives. kNotFound when it is not there, kInvalid when it is
// damaged; nothing has changed then.
Result<Prepared> prepare_restore(const RestoreOptions& options, const std::string& name, const Say& say);

// `kept` is the name for the present database, Prepared::keep_as, the same each time that
// it is called again. Without a prepared one nothing is done: the swap was complete. When it
// fails the present database is in place as before.
Result<void> swap_restored(const RestoreOptions& options, const std::string& kept, const Say& say);

// Forgets what was prepared; the present database stays, or comes back from `kept`
// with its logs when a swap was begun. Empty: none was.
void abandon_restore(const RestoreOptions& options, const std::string& kept = "");

}  // namespace terrace::database

#pragma once

// One SQLite database file, opened for a backup or a restore. SQLite's own types
// stay in the .cc files. One thread per object; calls block on the disk.

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"

struct sqlite3;

namespace terrace::database {

// What a good copy has in common with what it was made of.
struct Contents {
  std::string schema;                   // every statement of the schema, in order
  std::map<std::string, int64_t> rows;  // of each table
  int64_t row_count() const;
  bool operator==(const Contents&) const = default;
};

class SqliteFile {
 public:
  enum class Use : uint8_t {
    // Others write to it at the same time. What a crash left unfinished is finished
    // by opening it, as for each of its users.
    kShared,
    // Nobody else has it: a copy of ours. Read without a lock and without a -wal or
    // -shm beside it, whatever journal mode its head asks for.
    kOwnCopy,
    // To be written by us alone; nothing of it needs to survive a crash.
    kScratch,
  };

  // kNotFound when there is no such file; kInvalid when it is no database.
  // Each of its statements waits for another's lock, so long at most.
  static Result<SqliteFile> open(const std::string& path, Use use,
                                 std::chrono::milliseconds patience = std::chrono::seconds(2));

  // PRAGMA integrity_check. kInvalid, with what is wrong in `finding`, when the file
  // is damaged. CHECK constraints are the app's matter, not the file's. Where an index needs
  // a function that only the app has, indexes are left out (PRAGMA quick_check).
  Result<void> check_integrity(std::string& finding);
  Result<Contents> contents();
  // Whether it has a write-ahead log: its readers then block no writer.
  Result<bool> has_wal();
  // Begins a read transaction, which sees the database as it is now until the end.
  Result<void> begin_reading();
  // Moves everything from the -wal into the file; closing removes the -wal. kUnavailable
  // when somebody else uses it.
  Result<void> fold_wal();

  sqlite3* get() const { return database_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  explicit SqliteFile(sqlite3* database) : database_(database) {}
  Result<void> run(const char* sql);
  Result<std::string> first_text(const char* sql);

  std::unique_ptr<sqlite3, Close> database_;
};

// A result code of SQLite as an error: kUnavailable when it is busy, kInvalid when the
// file is damaged or no database, else kSystem.
std::unexpected<Error> fail_sqlite(const char* place, int code);

}  // namespace terrace::database

#pragma once

// The embedded default database: SQLite files in a folder that only the app's user
// reads. Terrace makes the folder and names the file; the app opens it.

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace terrace::database {

// Makes the folder with mode 0700 for that user, or checks that it is so. kInvalid
// when it belongs to somebody else: it is never given away. The folder above must
// exist.
Result<void> prepare_folder(const std::string& path, uid_t user, gid_t group);

// The file of that site, in the folder.
std::string sqlite_path(std::string_view folder, std::string_view site);

// DATABASE_URL: "sqlite:///" and the absolute path, so four slashes, as SQLAlchemy
// and dj-database-url read it.
std::string sqlite_url(std::string_view folder, std::string_view site);

}  // namespace terrace::database

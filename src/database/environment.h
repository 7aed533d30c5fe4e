#pragma once

// How the application is told of its database: DATABASE_URL in the form that its
// framework reads, and the same in parts. docs/database.md has the table of them.

#include <string>
#include <string_view>
#include <vector>

#include "topology/site.h"

namespace terrace::database {

struct DatabaseEnvironment {
  // DATABASE_URL, DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PATH: those that there are.
  std::vector<topology::Named> variables;
  // For a file that only the application's user reads, named by DB_PASSWORD_FILE;
  // empty: there is no password.
  std::string password;
};

// `folder` is that of the embedded database (sqlite.h). Nothing without a database.
DatabaseEnvironment environment_of(const topology::Site& site, std::string_view folder);

}  // namespace terrace::database

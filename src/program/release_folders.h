#pragma once

// The folders of releases, as far as they need root: made empty and removed empty.
// What is in them is made and removed by jobs (jobs.h), as the app's user. The
// supervisor's part.

#include <cstdint>

#include "base/result.h"
#include "program/folders.h"
#include "program/privileges.h"

namespace terrace::program {

// <state>/releases/N, new and empty, 0750 for the app's user and the worker's group; and
// <state>/writable, 02750 likewise: what the app makes there keeps the worker's group,
// so that the web server can show an uploaded picture. `own` is the user of controller
// and worker. No link is followed.
Result<void> make_release_folder(const Folders& folders, uint32_t number, const User& app, const User& own);

// Only when it is empty.
Result<void> remove_release_folder(const Folders& folders, uint32_t number);

}  // namespace terrace::program

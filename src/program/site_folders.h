#pragma once

// Makes the folders of folders.h and takes the site's lock. The supervisor's first
// act, still as root where it is.

#include <sys/types.h>

#include <string>

#include "base/descriptor.h"
#include "base/result.h"
#include "program/folders.h"
#include "program/privileges.h"

namespace terrace::program {

// `own` is the user of controller and worker, to whom the folders then belong; `cluster`
// the member's, whose folder in each of them is its own. The app's user may pass through
// `state` and `run` to what is its own there. kInvalid when a folder belongs to a stranger.
Result<void> make_site_folders(const Folders& folders, const User& own, const User& cluster);

// A .gitignore in the `.terrace` of this state folder, when it lies in one: secrets and
// database stand in the project, and `git add .` shall not take them.
void hide_from_git(const std::string& state);

// The first folder on the way to `path`, itself included, that the user may not
// enter; empty when all are open. Root only: a child tries it as that user.
std::string closed_folder(const std::string& path, const User& user);

// Writes our process id into the pid file and locks it as long as the descriptor is
// open (flock(2): it belongs to the open file, so it ends with us, however we
// end). kUnavailable when another supervisor holds it: `holder` is then its id.
Result<Descriptor> lock_site(const Folders& folders, pid_t& holder);

}  // namespace terrace::program

#pragma once

// What the application may write when it runs from the project's own folder: the
// entries of `[app] writable`, and the database under the name that a framework
// expects, `[db] link`. (A release has links for both: job_link.cc.)
//
// Done by the supervisor, perhaps as root, in a folder of which parts belong to the
// app already. So every name is looked up below the app's folder without following
// a link (openat2(2)), what is changed is what was opened, and a file that has a
// second name somewhere else is left alone.

#include <string>
#include <vector>

#include "base/result.h"
#include "program/privileges.h"

namespace terrace::program {

struct WritablePlan {
  std::string folder;                 // [app] folder, absolute
  std::vector<std::string> writable;  // relative to it
  std::string database_link;          // relative to it; empty: none
  std::string database;               // absolute: where the link leads
  bool change_owner = false;          // as root: what is listed is handed to `user`
  User user;                          // of the app
  // The folder of the site file, as the supervisor was started with it: as root nothing
  // outside of it is changed. All else here comes from the controller, which may have been
  // taken over and then name any folder of the machine.
  std::string within;
};

// Folders that are missing are made; what is there becomes the user's, whole trees up
// to kHandedMax entries. Each line of the result says something that was done, or why
// an entry was not: for the log. An error when the folder cannot be opened.
Result<std::vector<std::string>> make_writable(const WritablePlan& plan);

constexpr int kHandedMax = 20'000;

}  // namespace terrace::program

#pragma once

// Where a site's state lives.
//
//   root, /etc/terrace/…  /var/lib/terrace   /run/terrace   /var/log/terrace
//   any other site file   .terrace/state     .terrace/run   .terrace/log
//                         beside the site file
//   TERRACE_FOLDER=/x     /x/state           /x/run         /x/log
//
// TERRACE_FOLDER is for several sites on one server: tests, above all. One site per
// set of folders: `terrace up` holds a lock in `run`.
//
//   .terrace/.gitignore   says `*`: none of it belongs into version control
//   <state>/database/     0700, the app's user: its SQLite files
//   <state>/secrets/      0700, the supervisor's user: a file 0600 each (secrets.h)
//   <state>/backups/      0700, the app's user: the backups of its database
//   <state>/backups.json  what became of the last backup
//   <state>/restore.json  there while a restore swaps the database
//   <run>/terrace.pid     the supervisor's process id, locked while it lives
//   <state>/cluster/      0700, the member's user: keys, certificates, shared state (member.h)
//   <run>/control.sock    0600, as root 0660 for the member's group: one request line,
//                         one answer line (control.h)
//   <run>/cluster/        0750, the member's user: member.sock, 0660 (member_commands.h)
//   <run>/app/            the instances' Unix sockets: app's user and worker only
//   <run>/passwords/      DB_PASSWORD_FILE of each instance: 0400, its user
//   <log>/app.log         output and ends of the instances
//   <log>/access.log      written by the worker
//   <log>/terrace.log     what the four processes say on standard error
//
// As root <log> has the member's group and hands it on: servers show each other their
// logs.
//
// A Unix socket's path has at most 107 bytes (unix(7)). When <run> is so deep that
// its sockets would not fit, it is /tmp/terrace-<hash of its own path>.

#include <string>

namespace terrace::program {

struct Folders {
  std::string state;
  std::string run;
  std::string log;
};

// For the site file at this absolute path; `root` says whether the supervisor runs
// as root. Creates nothing: the supervisor and the command line ask alike.
Folders folders_of(const std::string& site_path, bool root);

std::string secrets_folder(const Folders& folders);
std::string control_socket(const Folders& folders);
std::string member_socket(const Folders& folders);
std::string cluster_folder(const Folders& folders);
// There from the moment that this server is a member of a site.
std::string identity_file(const Folders& folders);
std::string pid_file(const Folders& folders);

}  // namespace terrace::program

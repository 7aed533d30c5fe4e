#pragma once

// Users and what they may do.
//
// As root the controller and the worker are user `terrace`, the app is user
// `terrace-app` or a member of that group, and the member is user `terrace-cluster`:
// it holds the server's key, which the worker must not reach. The controller is in the
// member's group, as the two ask each other. Nothing that reads from a network or
// runs the site's code keeps a privilege. As another user everything is that user.

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"

namespace terrace::program {

struct User {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string home;
  std::vector<gid_t> groups;  // supplementary
};

constexpr const char* kOwnUser = "terrace";
constexpr const char* kAppUser = "terrace-app";
constexpr const char* kClusterUser = "terrace-cluster";
// Their numbers where no user can be made (system_user()).
constexpr uid_t kOwnNumber = 61'190;
constexpr uid_t kAppNumber = 61'191;
constexpr uid_t kClusterNumber = 61'192;

std::optional<User> find_user(const std::string& name);
// Who runs this process.
User current_user();

// The system user of that name, made with useradd(8) when it is missing. Where that
// is impossible (a read-only /etc), a user of numbers only, from the range that
// systemd keeps for such (systemd.exec(5), DynamicUser). Root only; says what it did.
User system_user(const std::string& name, uid_t number_if_all_fails, const Log& log);

// The user that an instance may have: as root `app`, or a member of the group
// terrace-app that is neither root nor us; otherwise only ourselves.
Result<User> permitted_app_user(const std::string& name, const User& own, const User& app);

// Becomes `user` for good: groups, ids, no capabilities, no new privileges.
// `keep_groups` keeps the user's supplementary groups. Irreversible; call it in a
// child that starts nothing as root any more.
Result<void> become(const User& user, bool keep_groups);

// No program that this process starts gains a privilege, and no capability is left.
// For a process that keeps its user.
Result<void> give_up_privileges();

// For the worker, whose job is to read what strangers send: no new program, no new
// process (threads stay possible), no tracing of others (seccomp(2)). What is
// refused fails with EPERM. Covers all threads that are started later.
Result<void> refuse_new_processes();

}  // namespace terrace::program

#include "program/privileges.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <memory>

namespace terrace::program {
namespace {

constexpr size_t kAccountBytes = 16384;

std::vector<gid_t> groups_of(const char* name, gid_t first) {
  std::vector<gid_t> groups(64);
  int count = static_cast<int>(groups.size());
  if (::getgrouplist(name, first, groups.data(), &count) < 0) {
    groups.resize(static_cast<size_t>(count));
    ::getgrouplist(name, first, groups.data(), &count);
  }
  groups.resize(static_cast<size_t>(std::max(count, 0)));
  return groups;
}

User user_of(const passwd& account) {
  return {.name = account.pw_name,
          .uid = account.pw_uid,
          .gid = account.pw_gid,
          .home = account.pw_dir,
          .groups = groups_of(account.pw_name, account.pw_gid)};
}

bool make_system_user(const std::string& name) {
  std::string program = "/usr/sbin/useradd";
  std::string arguments[] = {"useradd",           "--system", "--user-group", "--no-create-home", "--shell",
                             "/usr/sbin/nologin", name};
  std::vector<char*> list;
  for (std::string& each : arguments) list.push_back(each.data());
  list.push_back(nullptr);
  pid_t pid = 0;
  if (::posix_spawn(&pid, program.c_str(), nullptr, nullptr, list.data(), environ) != 0) return false;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status == 0;
}

// Without the bounding set no program file gives a capability back.
void empty_bounding_set() {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability)
    ::prctl(PR_CAPBSET_DROP, capability);
}

Result<void> empty_capabilities() {
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capset, &header, none) != 0) return fail_system("capset");
  return {};
}

}  // namespace

std::optional<User> find_user(const std::string& name) {
  passwd account{};
  passwd* found = nullptr;
  std::vector<char> text(kAccountBytes);
  if (::getpwnam_r(name.c_str(), &account, text.data(), text.size(), &found) != 0 || found == nullptr)
    return std::nullopt;
  return user_of(account);
}

User current_user() {
  passwd account{};
  passwd* found = nullptr;
  std::vector<char> text(kAccountBytes);
  if (::getpwuid_r(::getuid(), &account, text.data(), text.size(), &found) == 0 && found != nullptr) {
    User user = user_of(account);
    user.gid = ::getgid();
    return user;
  }
  return {
      .name = std::to_string(::getuid()), .uid = ::getuid(), .gid = ::getgid(), .home = "/", .groups = {}};
}

User system_user(const std::string& name, uid_t number_if_all_fails, const Log& log) {
  if (std::optional<User> user = find_user(name)) return *user;
  if (make_system_user(name)) {
    if (std::optional<User> user = find_user(name)) {
      log.info("made the system user", {{"user", name}, {"uid", static_cast<int64_t>(user->uid)}});
      return *user;
    }
  }
  log.warning("the system user is missing and could not be made: a number without a name is used",
              {{"user", name}, {"uid", static_cast<int64_t>(number_if_all_fails)}});
  return {.name = name, .uid = number_if_all_fails, .gid = number_if_all_fails, .home = "/", .groups = {}};
}

Result<User> permitted_app_user(const std::string& name, const User& own, const User& app) {
  const bool root = ::geteuid() == 0;
  if (!root && !name.empty() && name != own.name)
    return fail(Code::kInvalid, "app user", "only root can start the app as another user");
  if (!root) return own;
  const bool standard = name.empty() || name == app.name;
  const std::optional<User> user = standard ? app : find_user(name);
  if (!user) return fail(Code::kNotFound, "app user", "no such user");
  if (user->uid == 0 || user->gid == 0) return fail(Code::kInvalid, "app user", "the app never runs as root");
  if (user->uid == own.uid) return fail(Code::kInvalid, "app user", "the app needs a user of its own");
  if (!standard && std::ranges::find(user->groups, app.gid) == user->groups.end())
    return fail(Code::kInvalid, "app user", "not a member of the group terrace-app");
  return *user;
}

Result<void> become(const User& user, bool keep_groups) {
  if (user.uid == 0 || user.gid == 0) return fail(Code::kInvalid, "become", "never root");
  empty_bounding_set();
  const size_t groups = keep_groups ? user.groups.size() : 0;
  if (::setgroups(groups, user.groups.data()) != 0) return fail_system("setgroups");
  if (::setresgid(user.gid, user.gid, user.gid) != 0) return fail_system("setresgid");
  if (::setresuid(user.uid, user.uid, user.uid) != 0) return fail_system("setresuid");
  return give_up_privileges();
}

Result<void> give_up_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_system("no_new_privs");
  return empty_capabilities();
}

Result<void> refuse_new_processes() {
  const std::unique_ptr<void, void (*)(void*)> filter(::seccomp_init(SCMP_ACT_ALLOW),
                                                      [](void* f) { ::seccomp_release(f); });
  if (!filter) return fail(Code::kSystem, "seccomp", "no filter");
  constexpr int kRefused[] = {SCMP_SYS(execve),
                              SCMP_SYS(execveat),
                              SCMP_SYS(fork),
                              SCMP_SYS(vfork),
                              SCMP_SYS(ptrace),
                              SCMP_SYS(process_vm_readv),
                              SCMP_SYS(process_vm_writev),
                              SCMP_SYS(mount),
                              SCMP_SYS(umount2),
                              SCMP_SYS(pivot_root),
                              SCMP_SYS(chroot),
                              SCMP_SYS(setns),
                              SCMP_SYS(unshare),
                              SCMP_SYS(bpf),
                              SCMP_SYS(init_module),
                              SCMP_SYS(finit_module),
                              SCMP_SYS(keyctl),
                              SCMP_SYS(add_key),
                              SCMP_SYS(userfaultfd),
                              SCMP_SYS(open_by_handle_at),
                              SCMP_SYS(perf_event_open)};
  int wrong = 0;
  for (const int call : kRefused) wrong |= ::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0);
  // clone(2) makes threads and processes; clone3(2) hides which behind a pointer.
  // ENOSYS makes the C library fall back to the former.
  wrong |= ::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  wrong |= ::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
  if (wrong == 0) wrong = ::seccomp_load(filter.get());
  if (wrong != 0) return fail_system("seccomp", -wrong);
  return {};
}

}  // namespace terrace::program

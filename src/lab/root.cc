#include "lab/root.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/descriptor.h"
#include "base/file.h"

namespace terrace::lab {
namespace {

// Of /etc: what is this machine's own, and no program's settings.
constexpr const char* kHiddenSettings[] = {"terrace", "ssh", "letsencrypt", "cron.d", "sudoers.d", "systemd"};
constexpr const char* kFolders[] = {
    "usr", "etc", "proc",  "sys", "dev",  "run",     "tmp",     "home",    "root",         "srv",
    "opt", "mnt", "media", "var", "boot", "var/lib", "var/log", "var/tmp", "var/lib/dpkg", "var/cache"};
// Where /usr is merged these are links, elsewhere folders (file-hierarchy(7)).
constexpr const char* kOfUsr[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};
constexpr const char* kDevices[] = {"null", "zero", "full", "random", "urandom", "tty"};
constexpr mode_t kSticky = 01777;

Result<void> mount_at(const char* what, const std::string& where, const char* type, unsigned long flags,
                      const std::string& options = {}) {
  if (::mount(what, where.c_str(), type, flags, options.c_str()) != 0)
    return fail_system(type != nullptr ? type : "mount");
  return {};
}

// Those of a kernel that was built without a part of it are missing.
void make_read_only(const std::string& path) {
  if (::mount(path.c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0)
    ::mount(nullptr, path.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr);
}

std::string tree(const MachineRoot& root) { return root.disk + "/root"; }

Result<void> make_settings(const MachineRoot& root) {
  const std::string etc = root.disk + "/etc";
  for (const char* name : kHiddenSettings) {
    const std::string folder = etc + "/" + name;
    if (Result<void> made = make_folders(folder); !made) return made;
    // Nothing of the layer below shows through (Documentation/filesystems/overlayfs.rst).
    if (::setxattr(folder.c_str(), "trusted.overlay.opaque", "y", 1, 0) != 0) return fail_system("setxattr");
  }
  if (Result<void> made = write_file(etc + "/hostname", root.name + "\n"); !made) return made;
  if (Result<void> made = write_file(etc + "/hosts", root.hosts); !made) return made;
  // There is no name server: names that /etc/hosts lacks are unknown at once.
  return write_file(etc + "/resolv.conf", "");
}

Result<void> make_system_folders(const std::string& top) {
  for (const char* name : kOfUsr) {
    const std::string own = fmt::format("/{}", name);
    const std::string there = top + own;
    struct stat about{};
    std::array<char, 256> target{};
    if (::lstat(own.c_str(), &about) != 0) continue;
    if (S_ISDIR(about.st_mode)) {
      if (Result<void> made = make_folders(there); !made) return made;
      continue;
    }
    if (::readlink(own.c_str(), target.data(), target.size() - 1) < 0) return fail_system("readlink");
    if (::symlink(target.data(), there.c_str()) != 0 && errno != EEXIST) return fail_system("symlink");
  }
  return {};
}

Result<void> mount_layer(const MachineRoot& root, const std::string& name) {
  const std::string options =
      fmt::format("lowerdir=/{0},upperdir={1}/{0},workdir={1}/work-{0}", name, root.disk);
  Result<void> done = mount_at("overlay", tree(root) + "/" + name, "overlay", 0, options);
  // As in a container whose own disk is made of layers.
  if (!done && done.error().system == EINVAL)
    return fail(Code::kUnavailable, "overlay",
                "the disks of labs cannot be where they are: say TERRACE_LAB_FOLDER=/a/folder/on/ext4");
  return done;
}

Result<void> mount_system(const MachineRoot& root) {
  for (const char* name : {"usr", "etc"}) {
    if (Result<void> done = mount_layer(root, name); !done) return done;
  }
  for (const char* name : kOfUsr) {
    const std::string own = fmt::format("/{}", name);
    struct stat about{};
    if (::lstat(own.c_str(), &about) != 0 || !S_ISDIR(about.st_mode)) continue;
    if (Result<void> done = mount_at(own.c_str(), tree(root) + own, nullptr, MS_BIND); !done) return done;
    ::mount(nullptr, (tree(root) + own).c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr);
  }
  // Which packages are installed, as `[app] packages` asks; not on every Linux.
  const std::string packages = tree(root) + "/var/lib/dpkg";
  if (::mount("/var/lib/dpkg", packages.c_str(), nullptr, MS_BIND, nullptr) == 0)
    ::mount(nullptr, packages.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr);
  return {};
}

Result<void> mount_devices(const std::string& top) {
  const std::string dev = top + "/dev";
  if (Result<void> done = mount_at("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=755,size=1m"); !done) return done;
  for (const char* name : kDevices) {
    const std::string own = fmt::format("/dev/{}", name);
    const Descriptor point(::open((top + own).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
    if (Result<void> done = mount_at(own.c_str(), top + own, nullptr, MS_BIND); !done) return done;
  }
  for (const char* name : {"pts", "shm"}) {
    if (Result<void> made = make_folders(dev + "/" + name); !made) return made;
  }
  if (Result<void> done = mount_at("devpts", dev + "/pts", "devpts", MS_NOSUID | MS_NOEXEC,
                                   "newinstance,ptmxmode=0666,mode=620");
      !done)
    return done;
  if (Result<void> done = mount_at("tmpfs", dev + "/shm", "tmpfs", MS_NOSUID | MS_NODEV, "size=256m"); !done)
    return done;
  const std::pair<const char*, const char*> links[] = {{"/proc/self/fd", "fd"},
                                                       {"/proc/self/fd/0", "stdin"},
                                                       {"/proc/self/fd/1", "stdout"},
                                                       {"/proc/self/fd/2", "stderr"},
                                                       {"pts/ptmx", "ptmx"}};
  for (const auto& [target, name] : links) {
    if (::symlink(target, fmt::format("{}/{}", dev, name).c_str()) != 0) return fail_system("symlink");
  }
  return {};
}

// /proc and /sys of the namespaces that this process is in.
Result<void> mount_kernel(const std::string& top) {
  constexpr unsigned long kPlain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (Result<void> done = mount_at("proc", top + "/proc", "proc", kPlain); !done) return done;
  if (Result<void> done = mount_at("sysfs", top + "/sys", "sysfs", kPlain | MS_RDONLY); !done) return done;
  for (const char* name : {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"})
    make_read_only(top + name);
  // What is below is the network namespace's own, or read-only by itself.
  const std::string network = top + "/proc/sys/net";
  if (::mount(network.c_str(), network.c_str(), nullptr, MS_BIND, nullptr) == 0)
    ::mount(nullptr, network.c_str(), nullptr, MS_BIND | MS_REMOUNT, nullptr);
  return {};
}

Result<void> mount_memory(const std::string& top) {
  if (Result<void> done =
          mount_at("tmpfs", top + "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=256m");
      !done)
    return done;
  if (Result<void> done = mount_at("tmpfs", top + "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=1g");
      !done)
    return done;
  return make_folders(top + "/run/lock");
}

// pivot_root(2), "pivot_root(".", ".")": the old root is below the new one and let go.
Result<void> change_root(const std::string& top) {
  if (::chdir(top.c_str()) != 0) return fail_system("chdir");
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return fail_system("pivot_root");
  if (::umount2(".", MNT_DETACH) != 0) return fail_system("umount");
  if (::chdir("/") != 0) return fail_system("chdir");
  return {};
}

}  // namespace

Result<void> make_disk(const MachineRoot& root) {
  const std::string top = tree(root);
  if (top.find_first_of(",:\\") != std::string::npos)
    return fail(Code::kInvalid, "disk", "no `,`, `:` or `\\` may be in the path of a lab's folder");
  for (const char* name : {"usr", "etc", "work-usr", "work-etc"}) {
    if (Result<void> made = make_folders(root.disk + "/" + name); !made) return made;
  }
  for (const char* name : kFolders) {
    if (Result<void> made = make_folders(top + "/" + name); !made) return made;
  }
  ::chmod((top + "/root").c_str(), 0700);
  ::chmod((top + "/var/tmp").c_str(), kSticky);
  for (const auto& [target, name] : {std::pair("/run", "/var/run"), std::pair("/run/lock", "/var/lock")}) {
    if (::symlink(target, (top + name).c_str()) != 0 && errno != EEXIST) return fail_system("symlink");
  }
  if (Result<void> made = make_system_folders(top); !made) return made;
  return make_settings(root);
}

Result<void> enter_root(const MachineRoot& root) {
  const std::string top = tree(root);
  // Nothing that is mounted from here on reaches this machine's own tree.
  if (Result<void> done = mount_at(nullptr, "/", nullptr, MS_REC | MS_PRIVATE); !done) return done;
  if (Result<void> done = mount_at(top.c_str(), top, nullptr, MS_BIND); !done) return done;
  for (const auto part : {mount_devices, mount_kernel, mount_memory}) {
    if (Result<void> done = part(top); !done) return done;
  }
  if (Result<void> done = mount_system(root); !done) return done;
  return change_root(top);
}

Result<void> drop_capabilities() {
  constexpr int kDropped[] = {CAP_SYS_MODULE, CAP_SYS_RAWIO,  CAP_SYS_BOOT,       CAP_SYS_TIME,
                              CAP_MKNOD,      CAP_SYSLOG,     CAP_MAC_ADMIN,      CAP_BPF,
                              CAP_PERFMON,    CAP_WAKE_ALARM, CAP_LINUX_IMMUTABLE};
  for (const int capability : kDropped) {
    if (::prctl(PR_CAPBSET_READ, capability) == 1 && ::prctl(PR_CAPBSET_DROP, capability) != 0)
      return fail_system("capability");
  }
  return {};
}

}  // namespace terrace::lab

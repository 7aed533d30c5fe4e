#include "program/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>

#include "base/descriptor.h"
#include "base/file.h"

namespace terrace::program {
namespace {

constexpr size_t kProcFileBytesMax = 1 << 20;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

bool lists(std::string_view list, std::string_view word) {
  const std::vector<std::string_view> words = split(list, ',');
  return std::ranges::find(words, word) != words.end();
}

// Our group in the hierarchy of that controller: lines are "4:memory:/path", and
// "0::/path" for version 2.
std::optional<std::string> own_group(std::string_view cgroup, std::string_view controller) {
  for (const std::string_view line : split(cgroup, '\n')) {
    const size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    const size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view names = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? names.empty() : lists(names, controller))
      return std::string(line.substr(second + 1));
  }
  return std::nullopt;
}

// The group's folder when the mount shows only what is below `mount_root`.
std::string folder_of(std::string_view mount_point, std::string_view mount_root, std::string_view group) {
  if (mount_root != "/" && group.starts_with(mount_root)) group.remove_prefix(mount_root.size());
  std::string folder(mount_point);
  if (group != "/" && !group.empty()) folder += group;
  return folder;
}

// Control files are written in place, in one call: each write is a command.
Result<void> command(const std::string& file, std::string_view value) {
  const Descriptor fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return fail_system("cgroup");
  if (::write(fd.get(), value.data(), value.size()) < 0) return fail_system("cgroup");
  return {};
}

bool make_folder(const std::string& path) { return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST; }

bool process_lives(pid_t pid) { return ::kill(pid, 0) == 0 || errno == EPERM; }

std::vector<std::string> folders_in(const std::string& folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(folder.c_str()), ::closedir);
  if (!listing) return names;
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

// Groups of supervisors that were killed: their processes are gone, so they are empty.
void remove_abandoned(const std::string& terrace) {
  for (const std::string& site : folders_in(terrace)) {
    pid_t pid = 0;
    const size_t dot = site.rfind('.');
    if (dot == std::string::npos) continue;
    std::from_chars(site.data() + dot + 1, site.data() + site.size(), pid);
    if (pid <= 0 || process_lives(pid)) continue;
    const std::string parent = terrace + "/" + site;
    for (const std::string& instance : folders_in(parent)) ::rmdir((parent + "/" + instance).c_str());
    ::rmdir(parent.c_str());
  }
}

// Under systemd with Delegate=yes our own group is ours alone: the processes move
// to a leaf so that the group may have limited children. Elsewhere (a login
// session) strangers live in our group, and the root takes ours.
std::string version2_parent(const Hierarchy& hierarchy) {
  if (!hierarchy.folder.ends_with(".service")) return hierarchy.root;
  const std::string leaf = hierarchy.folder + "/terrace-own";
  if (!make_folder(leaf)) return hierarchy.root;
  (void)command(leaf + "/cgroup.procs", "0");
  return hierarchy.folder;
}

// Lets the children of `folder` have limits of memory and processes.
bool enable_controllers(const std::string& folder) {
  return command(folder + "/cgroup.subtree_control", "+memory +pids").has_value();
}

// The parent of the instances' groups, or nothing when it cannot be made.
std::optional<Hierarchy> prepare(Hierarchy hierarchy, const std::string& site) {
  const bool version2 = hierarchy.controller.empty();
  const std::string base = version2 ? version2_parent(hierarchy) : hierarchy.folder;
  const std::string terrace = base + "/terrace";
  if (version2 && !enable_controllers(base)) return std::nullopt;
  if (!make_folder(terrace)) return std::nullopt;
  remove_abandoned(terrace);
  if (version2 && !enable_controllers(terrace)) return std::nullopt;
  hierarchy.folder = terrace + "/" + site;
  if (!make_folder(hierarchy.folder)) return std::nullopt;
  if (version2 && !enable_controllers(hierarchy.folder)) return std::nullopt;
  return hierarchy;
}

Result<void> limit_memory(const std::string& folder, int64_t bytes, bool version2) {
  const std::string value = std::to_string(bytes);
  if (version2) {
    (void)command(folder + "/memory.swap.max", "0");
    (void)command(folder + "/memory.oom.group", "1");
    return command(folder + "/memory.max", value);
  }
  const Result<void> done = command(folder + "/memory.limit_in_bytes", value);
  // Memory and swap together; the file exists only with swap accounting.
  (void)command(folder + "/memory.memsw.limit_in_bytes", value);
  return done;
}

Result<void> limit(const std::string& folder, const Hierarchy& parent, int64_t memory_bytes,
                   uint32_t processes) {
  const bool version2 = parent.controller.empty();
  Result<void> done;
  if (memory_bytes > 0 && (version2 || parent.controller == "memory"))
    done = limit_memory(folder, memory_bytes, version2);
  // The instance's init is one more.
  if (done && processes > 0 && (version2 || parent.controller == "pids"))
    done = command(folder + "/pids.max", std::to_string(processes + 1));
  return done;
}

// "oom_kill 3" in memory.events (version 2) or memory.oom_control (version 1).
bool counts_oom_kill(std::string_view text) {
  constexpr std::string_view kKey = "oom_kill ";
  return std::ranges::any_of(split(text, '\n'), [&](std::string_view line) {
    return line.starts_with(kKey) && line.substr(kKey.size()) != "0";
  });
}

}  // namespace

std::vector<Hierarchy> mounted_hierarchies(std::string_view mountinfo, std::string_view cgroup,
                                           std::initializer_list<std::string_view> controllers) {
  std::vector<Hierarchy> version1;
  std::vector<Hierarchy> version2;
  for (const std::string_view line : split(mountinfo, '\n')) {
    // id parent device root mount-point options… - type source super-options
    const std::vector<std::string_view> words = split(line, ' ');
    const auto dash = std::ranges::find(words, "-");
    if (words.size() < 6 || words.end() - dash < 4) continue;
    const std::string_view type = dash[1];
    const auto take = [&](std::string_view controller, std::vector<Hierarchy>& into) {
      const std::optional<std::string> group = own_group(cgroup, controller);
      if (!group) return;
      into.push_back({.controller = std::string(controller),
                      .folder = folder_of(words[4], words[3], *group),
                      .root = std::string(words[4])});
    };
    if (type == "cgroup2") take("", version2);
    for (const std::string_view controller : controllers) {
      if (type == "cgroup" && lists(dash[3], controller)) take(controller, version1);
    }
  }
  version1.insert(version1.end(), version2.begin(), version2.end());
  return version1;
}

std::vector<Hierarchy> hierarchies_of(std::string_view mountinfo, std::string_view cgroup) {
  std::vector<Hierarchy> found = mounted_hierarchies(mountinfo, cgroup, {"memory", "pids"});
  // A machine with controllers in version 1 has an empty version 2 at best.
  if (!found.empty() && !found.front().controller.empty())
    std::erase_if(found, [](const Hierarchy& each) { return each.controller.empty(); });
  return found;
}

Result<void> Cgroup::enter() const {
  for (const std::string& folder : folders_) {
    if (Result<void> done = command(folder + "/cgroup.procs", "0"); !done) return done;
  }
  return {};
}

bool Cgroup::out_of_memory() const {
  for (const std::string& folder : folders_) {
    for (const char* file : {"/memory.events", "/memory.oom_control"}) {
      const Result<std::string> text = read_file(folder + file, kProcFileBytesMax);
      if (text && counts_oom_kill(*text)) return true;
    }
  }
  return false;
}

bool Cgroup::remove() {
  std::erase_if(folders_,
                [](const std::string& folder) { return ::rmdir(folder.c_str()) == 0 || errno == ENOENT; });
  return folders_.empty();
}

Cgroups Cgroups::find(std::string_view site) {
  Cgroups found;
  const Result<std::string> mountinfo = read_file("/proc/self/mountinfo", kProcFileBytesMax);
  const Result<std::string> cgroup = read_file("/proc/self/cgroup", kProcFileBytesMax);
  if (!mountinfo || !cgroup) return found;
  const std::string name = fmt::format("{}.{}", site, ::getpid());
  for (const Hierarchy& each : hierarchies_of(*mountinfo, *cgroup)) {
    if (std::optional<Hierarchy> parent = prepare(each, name)) found.parents_.push_back(std::move(*parent));
  }
  if (!found.parents_.empty())
    found.kind_ = found.parents_.front().controller.empty() ? Limits::kCgroup2 : Limits::kCgroup1;
  return found;
}

Result<Cgroup> Cgroups::make(std::string_view instance, int64_t memory_bytes, uint32_t processes) const {
  std::vector<std::string> folders;
  for (const Hierarchy& parent : parents_) {
    const std::string folder = fmt::format("{}/{}", parent.folder, instance);
    if (!make_folder(folder)) return fail_system("cgroup");
    folders.push_back(folder);
    if (Result<void> done = limit(folder, parent, memory_bytes, processes); !done) {
      Cgroup(folders).remove();
      return std::unexpected(done.error());
    }
  }
  return Cgroup(std::move(folders));
}

void Cgroups::remove() const {
  for (const Hierarchy& parent : parents_) {
    ::rmdir(parent.folder.c_str());
    // The folder of all sites goes with the last one.
    ::rmdir(parent.folder.substr(0, parent.folder.rfind('/')).c_str());
  }
}

}  // namespace terrace::program

#include "lab/folders.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "base/file.h"

namespace terrace::lab {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNameBytesMax = 68;
constexpr size_t kLabsMax = 1000;
constexpr int kEndLooks = 500;
constexpr int kEndLookMilliseconds = 20;

struct Tops {
  std::string disks = "/var/lib/terrace-lab";
  std::string runs = "/run/terrace-lab";
};

Tops tops() {
  const char* folder = std::getenv("TERRACE_LAB_FOLDER");
  if (folder == nullptr || *folder != '/') return {};
  return {.disks = std::string(folder) + "/disks", .runs = std::string(folder) + "/run"};
}

Result<Descriptor> lock(const LabFolders& folders, int flags) {
  Descriptor file(::open((folders.run + "/keeper.pid").c_str(), O_RDWR | O_CLOEXEC | flags, 0600));
  if (!file) return fail_system("keeper.pid");
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0)
    return errno == EWOULDBLOCK ? fail(Code::kUnavailable, "lab", "a lab of this name runs already")
                                : fail_system("flock");
  return file;
}

}  // namespace

LabFolders lab_folders(const std::string& name) {
  const Tops top = tops();
  return {.name = name, .disk = top.disks + "/" + name, .run = top.runs + "/" + name};
}

bool is_lab_name(const std::string& name) {
  return !name.empty() && name.size() <= kNameBytesMax && std::ranges::all_of(name, [](const char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

std::vector<std::string> lab_names() {
  const Tops top = tops();
  std::set<std::string> names;
  for (const std::string& folder : {top.disks, top.runs}) {
    std::error_code missing;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, missing)) {
      if (names.size() < kLabsMax && is_lab_name(entry.path().filename()))
        names.insert(entry.path().filename());
    }
  }
  return {names.begin(), names.end()};
}

bool is_running(const LabFolders& folders) {
  const Result<Descriptor> taken = lock(folders, 0);
  return !taken && taken.error().code == Code::kUnavailable;
}

Result<Descriptor> take_name(const LabFolders& folders) {
  for (const std::string& folder : {folders.disk, folders.run}) {
    if (Result<void> made = make_folders(folder, 0700); !made) return std::unexpected(made.error());
  }
  return lock(folders, O_CREAT);
}

Result<void> note_keeper(const Descriptor& taken) {
  if (::ftruncate(taken.get(), 0) != 0) return fail_system("keeper.pid");
  return write_all(taken.get(), std::to_string(::getpid()) + "\n");
}

Result<void> end_by_force(const LabFolders& folders) {
  const Result<std::string> text = read_file(folders.run + "/keeper.pid", 64);
  if (!text) return std::unexpected(text.error());
  pid_t pid = 0;
  const auto read = std::from_chars(text->data(), text->data() + text->size(), pid);
  // The lock says that this is the keeper still, and no later process of its number.
  if (read.ec != std::errc() || pid <= 1 || !is_running(folders)) return {};
  ::kill(pid, SIGKILL);
  for (int i = 0; i < kEndLooks; ++i) {
    if (!is_running(folders)) return {};
    ::poll(nullptr, 0, kEndLookMilliseconds);
  }
  return fail(Code::kTimeout, "lab", "its keeper does not end");
}

Result<void> remove_lab(const LabFolders& folders) {
  std::error_code wrong;
  // The lock goes last: until then nobody takes the name.
  for (const std::string& folder : {folders.disk, folders.run}) {
    fs::remove_all(folder, wrong);
    if (wrong) return fail_system("remove", wrong.value());
  }
  // The folders of all labs go with the last one.
  const Tops top = tops();
  for (const std::string& folder : {top.disks, top.runs}) fs::remove(folder, wrong);
  return {};
}

}  // namespace terrace::lab

#include "program/stray_writes.h"

#include <dirent.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <tuple>
#include <utility>

namespace terrace::program {
namespace {

constexpr uint32_t kEvents =
    IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK;
// Of one call: as many events as the kernel holds by default, twice over.
constexpr int kReadsMax = 512;
constexpr size_t kReadBytes = 16 << 10;

// What package managers install and frameworks compile into, and where logs go: the output
// of an application belongs to standard output, which Terrace keeps.
constexpr std::array<std::string_view, 10> kFolders = {
    "__pycache__", "node_modules", "site-packages", "venv", "vendor", "tmp", "temp", "cache", "log", "logs"};
constexpr std::array<std::string_view, 7> kEnds = {".pyc", ".pyo", ".pid", ".lock", ".log", ".tmp", "~"};
constexpr std::array<std::string_view, 3> kBesideDatabase = {"-wal", "-shm", "-journal"};

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

bool is_before(const timespec& a, const timespec& b) {
  return std::tie(a.tv_sec, a.tv_nsec) < std::tie(b.tv_sec, b.tv_nsec);
}

}  // namespace

bool may_be_lost(std::string_view name, bool folder) {
  if (name.starts_with('.')) return true;
  if (folder) return std::ranges::find(kFolders, name) != kFolders.end();
  // Python writes "x.cpython-311.pyc.139823" and renames it.
  return name.find(".pyc.") != std::string_view::npos ||
         std::ranges::any_of(kEnds, [name](std::string_view end) { return name.ends_with(end); });
}

std::string_view database_of(std::string_view name) {
  for (const std::string_view end : kBesideDatabase) {
    if (name.ends_with(end) && name.size() > end.size()) return name.substr(0, name.size() - end.size());
  }
  return name;
}

Result<void> StrayWrites::begin(const std::string& root, const std::string& shown_from, size_t folders_max) {
  end();
  events_ = Descriptor(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!events_) return fail_system("inotify");
  root_ = root;
  shown_from_ = shown_from;
  folders_max_ = folders_max;
  ::clock_gettime(CLOCK_REALTIME_COARSE, &began_);
  waiting_ = {""};
  return {};
}

void StrayWrites::end() { *this = StrayWrites(); }

bool StrayWrites::watch_more() {
  for (size_t i = 0; i < kFoldersPerTurn && !waiting_.empty(); ++i) {
    const std::string folder = std::move(waiting_.front());
    waiting_.pop_front();
    watch(folder);
  }
  return !waiting_.empty();
}

// The watch first: what comes after it is an event, and what was there before belongs to
// the release.
void StrayWrites::watch(const std::string& folder) {
  const std::string path = root_ + "/" + folder;
  const int number = ::inotify_add_watch(events_.get(), path.c_str(), kEvents);
  if (number < 0) {
    // Of the user's watches there are no more (ENOSPC): the folders nearest to the root are looked
    // after. Another folder may not be ours to read.
    if (errno == ENOSPC) waiting_.clear();
    return;
  }
  folders_[number] = folder;
  const std::unique_ptr<DIR, CloseFolder> listing(::opendir(path.c_str()));
  if (!listing) return;
  while (const dirent* entry = ::readdir(listing.get())) {
    if (++entries_ > kEntriesMax) return waiting_.clear();
    // Where the file system does not say what an entry is, only a folder takes a watch.
    const bool perhaps_folder = entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN;
    if (!perhaps_folder || may_be_lost(entry->d_name, true)) continue;
    if (folders_.size() + waiting_.size() >= folders_max_) return;
    waiting_.push_back(folder + entry->d_name + "/");
  }
}

void StrayWrites::note(const std::string& folder, std::string_view name, uint32_t what) {
  const bool is_folder = (what & IN_ISDIR) != 0;
  if (name.empty() || may_be_lost(name, is_folder) || fresh_.size() >= kFreshMax) return;
  if (!is_folder) name = database_of(name);
  fresh_.insert(folder + std::string(name));
}

void StrayWrites::read_events() {
  alignas(inotify_event) std::array<char, kReadBytes> block;
  for (int i = 0; i < kReadsMax; ++i) {
    const ssize_t bytes = ::read(events_.get(), block.data(), block.size());
    if (bytes <= 0) return;
    for (const char* at = block.data(); at < block.data() + bytes;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof *event + event->len;
      const auto folder = folders_.find(event->wd);
      if (folder == folders_.end()) continue;
      if (event->mask & IN_IGNORED) {
        folders_.erase(folder);
      } else {
        note(folder->second, event->len > 0 ? event->name : "", event->mask);
      }
    }
  }
}

std::vector<std::string> StrayWrites::take() {
  std::vector<std::string> paths;
  if (!events_) return paths;
  for (const std::string& path : std::exchange(fresh_, {})) {
    struct stat about{};
    if (full() || ::lstat((root_ + "/" + path).c_str(), &about) != 0) continue;
    // Closed after it was open to write, and never written.
    if (is_before(about.st_ctim, began_)) continue;
    if (!S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode)) continue;
    const std::string name = shown(path) + (S_ISDIR(about.st_mode) ? "/" : "");
    if (said_.insert(name).second) paths.push_back(name);
  }
  read_events();
  // What was said stays; to notice more would only cost.
  if (full()) events_.reset();
  return paths;
}

std::string StrayWrites::shown(const std::string& path) const {
  return std::filesystem::path(root_ + "/" + path).lexically_relative(shown_from_).string();
}

}  // namespace terrace::program

#pragma once

// Notices what the application writes into its own release, beside `[app] writable`: such
// a file is on one server only and gone with the next release. What `[app] writable` and
// `[db] link` name are links there that lead out of the release, so whatever comes to be
// within it is astray.
//
// inotify(7) on the folders of the release: nothing is read again, and nothing is asked of the
// application's processes. Not noticed: what is written before its folder's turn has come, a
// write to a file of the release that stays open, and who wrote.
//
// Not said, since nobody misses it (may_be_lost): caches, compiled code, lock files and logs that
// languages and frameworks write by themselves.
//
// One thread; each call blocks as long as the file system takes for kFoldersPerTurn folders.

#include <cstdint>
#include <ctime>
#include <deque>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"

namespace terrace::program {

// Whether a file or a folder of this name is what a language or framework writes for itself
// and makes again, at whatever place: "__pycache__", "tmp", ".cache", "app.pid".
bool may_be_lost(std::string_view name, bool folder);

// The file that is meant by one beside it: of "shop.db-wal", "shop.db".
std::string_view database_of(std::string_view name);

class StrayWrites {
 public:
  // Each costs the kernel about 1 KB. The folders nearest to the root come first.
  static constexpr size_t kFoldersMax = 2000;
  static constexpr size_t kFoldersPerTurn = 64;
  // Entries of all folders together that are looked at on the way.
  static constexpr size_t kEntriesMax = 200'000;
  // Paths that are said; then nothing more is noticed.
  static constexpr size_t kPathsMax = 50;
  // Paths that have been written and may still vanish; more are not noticed this time.
  static constexpr size_t kFreshMax = 256;

  // From now on, what is written below `root`, an absolute path without a link. Paths are
  // said as they count from `shown_from`. Ends what was noticed before.
  Result<void> begin(const std::string& root, const std::string& shown_from,
                     size_t folders_max = kFoldersMax);
  void end();

  // Turns to further folders; false when there are none left.
  bool watch_more();

  // Paths that were not said before and were still there at this call and the one before it: a
  // temporary file that is renamed or removed is none. A new folder is said with "/" at its
  // end, and not what is in it. At most kPathsMax between begin() and end().
  std::vector<std::string> take();

  const std::set<std::string>& said() const { return said_; }
  bool full() const { return said_.size() >= kPathsMax; }

 private:
  void watch(const std::string& folder);
  void note(const std::string& folder, std::string_view name, uint32_t what);
  void read_events();
  std::string shown(const std::string& path) const;

  Descriptor events_;
  std::string root_;
  std::string shown_from_;
  timespec began_{};                              // of the clock that files are dated with
  std::deque<std::string> waiting_;               // folders, relative to root_: "" or "static/"
  std::unordered_map<int, std::string> folders_;  // by their watch
  size_t entries_ = 0;
  std::set<std::string> fresh_;  // relative to root_
  std::set<std::string> said_;   // as shown
  size_t folders_max_ = kFoldersMax;
};

}  // namespace terrace::program

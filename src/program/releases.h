#pragma once

// The releases of a site: what `terrace deploy` made, which one serves, which one
// served before.
//
//   <state>/releases/N/     the files of release N, 0750: the app's user owns them, the
//                           worker's group reads them
//   <state>/releases.json   this table, 0644
//   <state>/writable/       what `[app] writable` names: outlives releases
//
// The file is always written whole (a temporary, fsync, rename), and each step of a
// deploy is in it before it is done; so a deploy that is killed anywhere leaves a
// table that says which release serves. What it calls `building` while nobody deploys
// is the rest of one: failed, its folder to be removed. Changing over needs no room on
// the disk: what will then be true is written beforehand under another name
// (prepare()) and only renamed in the moment itself (commit()).
//
// Numbers grow and are never used twice. Number 0 stands for no release: the site runs
// from the folder of its file.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "topology/load.h"

namespace terrace::program {

enum class ReleaseState : uint8_t { kBuilding, kReady, kFailed };

struct Release {
  uint32_t number = 0;
  int64_t made = 0;  // seconds since 1970
  ReleaseState state = ReleaseState::kBuilding;
  std::string reason;  // of a failed one, for a person
  uint64_t bytes = 0;  // of its files, once it is ready
  bool operator==(const Release&) const = default;
};

constexpr size_t kReleasesKept = 3;        // ready ones; the current and the one before it besides
constexpr size_t kFailuresRemembered = 5;  // without their files

// A value: what follows is pure.
struct ReleaseTable {
  uint32_t last = 0;  // the highest number ever given
  // Those that served, in order; the last one serves now. Going back takes it off.
  std::vector<uint32_t> served;
  std::vector<Release> releases;  // by number

  uint32_t current() const { return served.empty() ? 0 : served.back(); }
  // What a rollback goes to; 0: the site file's folder, when nothing served before.
  uint32_t previous() const { return served.size() < 2 ? 0 : served[served.size() - 2]; }
  const Release* find(uint32_t number) const;

  // The next number, building.
  uint32_t begin(int64_t now);
  // The same for a number that another server gave: building, whatever it was here.
  void begin(uint32_t number, int64_t now);
  void fail(uint32_t number, std::string reason);
  // It could serve, and does not yet.
  void make_ready(uint32_t number, uint64_t bytes);
  // It is ready and serves.
  void switch_to(uint32_t number, uint64_t bytes);
  // A ready one serves, or the one before it again; 0: the site file's folder.
  void serve(uint32_t number);
  // The one before serves again. `reason`: why the current one failed; empty: it only leaves.
  void go_back(std::string reason);
  // Fails what still builds: nobody is about it any more. True when there was any.
  bool give_up_unfinished();
  // Forgets what is beyond the limits above.
  void trim();
  bool operator==(const ReleaseTable&) const = default;
};

std::string text_of(const ReleaseTable& table);
Result<ReleaseTable> parse_releases(std::string_view text);

// The file. kNotFound never comes: without a file the table is empty.
class ReleaseFile {
 public:
  // `state`: the folder of folders.h.
  explicit ReleaseFile(const std::string& state) : path_(state + "/releases.json") {}

  Result<ReleaseTable> load() const;
  Result<void> save(const ReleaseTable& table) const;
  // Writes the table beside the file, under a name for `purpose`; commit() makes that
  // the file, which needs no room.
  Result<void> prepare(const char* purpose, const ReleaseTable& table) const;
  Result<void> commit(const char* purpose) const;
  // What was prepared and is not needed.
  void forget(const char* purpose) const;

 private:
  std::string path_;
};

std::string release_folder(const std::string& state, uint32_t number);
// What paths of the site file count from: the current release; empty without one.
std::string release_root(const std::string& state, const ReleaseTable& table);
// For the site file at `site_path`: its relative paths count from the release that serves.
// Whether folders exist is not asked where one may not look, nor before the first release
// of a site that waits for it.
void count_from_release(topology::LoadOptions& options, const std::string& site_path,
                        const std::string& state);
// A site file below /etc stands beside no project: until the first deploy there is nothing
// of it to serve.
bool awaits_release(const std::string& site_path, const ReleaseTable& table);
// What such a site serves meanwhile: nothing that relative paths would lead to.
topology::Site without_release(const topology::Site& site);
// The numbers that have a folder.
std::vector<uint32_t> release_folders(const std::string& state);

}  // namespace terrace::program

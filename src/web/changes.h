#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/descriptor.h"
#include "reactor/reactor.h"
#include "reactor/scope.h"

namespace terrace::web {

// Notices that something changed in folders that files were served from
// (inotify(7)). It does not say what: every change raises the generation, and
// what was found before is then looked at again when it is next asked for, which
// costs a few microseconds each.
//
// One instance of inotify. Where it is not to be had, or for folders over the
// limit, the generation stays and a time limit must bound what is stale.
class Changes {
 public:
  // `root`: the folder of files. At most `folders_max` folders are watched.
  Changes(Reactor& reactor, std::string root, size_t folders_max);

  Result<void> start();
  // Watches the root and the folders on the way to `path`, as far as they exist.
  void watch_folders_of(std::string_view path);
  uint64_t generation() const { return generation_; }
  Task<void> close();

 private:
  class Readable;
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  Task<void> run();
  void read_events();
  bool watch(std::string_view folder);

  Reactor& reactor_;
  std::string root_;
  size_t folders_max_;
  Descriptor inotify_;
  Watch watch_;
  Scope scope_;
  bool closing_ = false;
  uint64_t generation_ = 1;
  // Raised when a name came or went: a watched name may mean another folder now.
  uint64_t names_generation_ = 1;
  // The names_generation_ at which each folder, relative to the root, was last watched.
  std::unordered_map<std::string, uint64_t, Hash, std::equal_to<>> watched_;
};

}  // namespace terrace::web

#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"

namespace terrace::web {

// Whether a call may wait for the disk.
enum class Patience : uint8_t { kCachedOnly, kMayBlock };

// What tells two states of a file apart. The time of the last change of the inode
// is in it, because a tool can set back that of the content.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  uint64_t size = 0;
  int64_t modified_ns = 0;  // since 1970
  int64_t changed_ns = 0;
  bool operator==(const FileIdentity&) const = default;
};
FileIdentity identity_of(const struct stat& status);

// A folder from which files are served. Nothing outside of it is ever opened: the
// kernel resolves each path beneath it (openat2(2)) and follows only links that
// stay there. Another folder may stand in it under a name, in place of what is there,
// and is closed to the outside in the same way. Thread-safe: it does not change.
class Folder {
 public:
  static Result<Folder> open(const std::string& path);
  // From now on what is below `at`, "/uploads", comes from `path` below `root`, through no
  // link: somebody else may write there. Before it is shared.
  Result<void> put(std::string at, const std::string& root, const std::string& path);

  // Opens what `path` (beginning with `/`, as normalise_path() gave it) names, for
  // reading, never waiting for a FIFO's or a device's other side.
  // Errors: kNotFound, kWouldBlock (only with kCachedOnly), kInvalid for what is
  // there but not to be served (it leads outside, no permission), kSystem.
  Result<Descriptor> open_beneath(std::string_view path, Patience patience) const;

  const std::string& path() const { return path_; }

 private:
  Folder(std::string path, Descriptor descriptor)
      : path_(std::move(path)), descriptor_(std::move(descriptor)) {}
  struct Inner {
    std::string at;
    Descriptor descriptor;
  };
  // The folder in which `path` is, which becomes relative to it.
  int folder_of(std::string_view& path) const;

  std::string path_;
  Descriptor descriptor_;
  std::vector<Inner> inner_;
};

// A component that begins with a dot is refused whether it exists or not, save
// `/.well-known/` at the front (RFC 8615).
bool is_hidden(std::string_view path);

// The whole of an open file of `bytes` bytes, which must not change meanwhile.
// Errors: kWouldBlock, kInvalid when it turned out shorter, kSystem.
Result<std::string> read_content(int file, uint64_t bytes, Patience patience);

}  // namespace terrace::web

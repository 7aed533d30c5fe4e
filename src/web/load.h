#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "web/accept_encoding.h"
#include "web/folder.h"

namespace terrace::web {

// Looking at the disk for what a path names. Thread-safe and without state: a
// reactor calls it with kCachedOnly, and the helper thread with kMayBlock after
// it said kWouldBlock.

struct OpenFile {
  Descriptor descriptor;
  FileIdentity identity;
};

// By coding: the file itself under kIdentity, its compressed siblings under theirs.
using OpenFiles = std::array<std::optional<OpenFile>, kCodings>;

struct Opened {
  enum class Kind : uint8_t {
    kMissing,  // nothing to serve
    kRefused,  // something that is not served: a device, a link that leads outside
    kFolder,   // a folder with an index file, named without its slash
    kFile,
  };
  Kind kind = Kind::kMissing;
  std::string name;  // of the file: the path, or the index file in the folder it names
  OpenFiles files;
};

// Opens what `path` names: a file, or with a slash at the end the first of `index`
// that is there. Errors: kWouldBlock, kSystem.
Result<Opened> open_path(const Folder& folder, const std::vector<std::string>& index, std::string_view path,
                         Patience patience);

// The states of the files that a path was found to mean, by coding.
using Identities = std::array<std::optional<FileIdentity>, kCodings>;
Identities identities_of(const OpenFiles& files);

// What a path names, with the content of what is small.
struct Loaded {
  Opened opened;
  bool unchanged = false;  // these are the files known already; no content was read
  // Taken before anything was opened; nanoseconds since 1970.
  int64_t looked_ns = 0;
  std::array<std::optional<std::string>, kCodings> contents;
};

// A look at the disk: opens, and reads what has at most `content_bytes_max` bytes
// unless the files are those `known`. A content is whole and of one state even when
// somebody writes the file meanwhile. Errors: kWouldBlock, kSystem.
struct LoadRequest {
  const Folder& folder;
  const std::vector<std::string>& index;
  std::string_view path;
  uint64_t content_bytes_max = 0;
  const std::optional<Identities>& known;
};
Result<Loaded> load_path(const LoadRequest& request, Patience patience);

}  // namespace terrace::web

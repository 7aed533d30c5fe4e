#include "web/load.h"

#include <chrono>

#include "web/content_type.h"

namespace terrace::web {
namespace {

// How often a file that changes while it is read is read again.
constexpr int kAttemptsMax = 3;
// A sibling this much older than its file is left over from before the last edit.
// Tools that build or unpack both write them within seconds, in any order.
constexpr int64_t kSiblingAgeMaxNs = 60'000'000'000;

enum class Entity : uint8_t { kMissing, kRefused, kFolder, kFile };

struct Opening {
  Entity entity = Entity::kMissing;
  OpenFile file;
};

Result<Opening> open_entity(const Folder& folder, std::string_view path, Patience patience) {
  Opening opening;
  Result<Descriptor> descriptor = folder.open_beneath(path, patience);
  if (!descriptor) {
    const Code code = descriptor.error().code;
    if (code != Code::kNotFound && code != Code::kInvalid) return std::unexpected(descriptor.error());
    opening.entity = code == Code::kNotFound ? Entity::kMissing : Entity::kRefused;
    return opening;
  }
  struct stat status{};
  if (::fstat(descriptor->get(), &status) != 0) return fail_system("fstat");
  opening.entity = S_ISREG(status.st_mode)   ? Entity::kFile
                   : S_ISDIR(status.st_mode) ? Entity::kFolder
                                             : Entity::kRefused;
  opening.file = {.descriptor = std::move(*descriptor), .identity = identity_of(status)};
  return opening;
}

Result<void> open_siblings(const Folder& folder, Opened& opened, Patience patience) {
  if (!content_type(opened.name).compressible) return {};
  const FileIdentity& original = opened.files[0]->identity;
  for (size_t i = 1; i < kCodings; ++i) {
    std::string name = opened.name;
    name += coding_suffix(static_cast<Coding>(i));
    Result<Opening> sibling = open_entity(folder, name, patience);
    if (!sibling) return std::unexpected(sibling.error());
    if (sibling->entity != Entity::kFile) continue;
    if (sibling->file.identity.modified_ns + kSiblingAgeMaxNs < original.modified_ns) continue;
    opened.files[i] = std::move(sibling->file);
  }
  return {};
}

// The first index file of the folder `path`, which ends in a slash.
Result<Opened> open_index(const Folder& folder, const std::vector<std::string>& index, std::string_view path,
                          Patience patience) {
  Opened opened;
  for (const std::string& name : index) {
    opened.name.assign(path).append(name);
    Result<Opening> opening = open_entity(folder, opened.name, patience);
    if (!opening) return std::unexpected(opening.error());
    if (opening->entity != Entity::kFile) continue;
    opened.kind = Opened::Kind::kFile;
    opened.files[0] = std::move(opening->file);
    const Result<void> siblings = open_siblings(folder, opened, patience);
    if (!siblings) return std::unexpected(siblings.error());
    return opened;
  }
  return opened;
}

// The content of a file that may be written meanwhile: whole and of one state, or
// nothing when it is large or never held still. `file.identity` becomes that state.
Result<std::optional<std::string>> read_settled(OpenFile& file, uint64_t bytes_max, Patience patience) {
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    if (file.identity.size > bytes_max) return std::nullopt;
    Result<std::string> content = read_content(file.descriptor.get(), file.identity.size, patience);
    if (!content && content.error().code != Code::kInvalid) return std::unexpected(content.error());
    struct stat status{};
    if (::fstat(file.descriptor.get(), &status) != 0) return fail_system("fstat");
    const FileIdentity after = identity_of(status);
    if (content && after == file.identity) return std::move(*content);
    file.identity = after;
  }
  return std::nullopt;
}

int64_t wall_nanoseconds() {
  return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

Result<Opened> open_path(const Folder& folder, const std::vector<std::string>& index, std::string_view path,
                         Patience patience) {
  if (path.ends_with('/')) return open_index(folder, index, path, patience);
  Result<Opening> opening = open_entity(folder, path, patience);
  if (!opening) return std::unexpected(opening.error());
  Opened opened{.name = std::string(path)};
  switch (opening->entity) {
    case Entity::kMissing:
      return opened;
    case Entity::kRefused:
      opened.kind = Opened::Kind::kRefused;
      return opened;
    case Entity::kFile: {
      opened.kind = Opened::Kind::kFile;
      opened.files[0] = std::move(opening->file);
      const Result<void> siblings = open_siblings(folder, opened, patience);
      if (!siblings) return std::unexpected(siblings.error());
      return opened;
    }
    case Entity::kFolder:
      break;
  }
  // A folder without an index file is nothing of ours: the app may have a page there.
  Result<Opened> inside = open_index(folder, index, opened.name + '/', patience);
  if (inside && inside->kind == Opened::Kind::kFile) inside->kind = Opened::Kind::kFolder;
  return inside;
}

Identities identities_of(const OpenFiles& files) {
  Identities identities;
  for (size_t i = 0; i < kCodings; ++i) {
    if (files[i]) identities[i] = files[i]->identity;
  }
  return identities;
}

Result<Loaded> load_path(const LoadRequest& request, Patience patience) {
  Loaded loaded;
  loaded.looked_ns = wall_nanoseconds();
  Result<Opened> opened = open_path(request.folder, request.index, request.path, patience);
  if (!opened) return std::unexpected(opened.error());
  loaded.opened = std::move(*opened);
  if (loaded.opened.kind != Opened::Kind::kFile) return loaded;
  loaded.unchanged = request.known && *request.known == identities_of(loaded.opened.files);
  if (loaded.unchanged) return loaded;
  for (size_t i = 0; i < kCodings; ++i) {
    if (!loaded.opened.files[i]) continue;
    Result<std::optional<std::string>> content =
        read_settled(*loaded.opened.files[i], request.content_bytes_max, patience);
    if (!content) return std::unexpected(content.error());
    loaded.contents[i] = std::move(*content);
  }
  return loaded;
}

}  // namespace terrace::web

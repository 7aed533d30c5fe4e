#include "web/folder.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "base/assert.h"

namespace terrace::web {
namespace {

// Under RESOLVE_BENEATH a rename that runs meanwhile gives EAGAIN: try again, but
// not for ever against somebody who renames in a loop.
constexpr int kAttemptsMax = 8;

int open_how(int folder, const char* path, uint64_t resolve) {
  struct open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve;
  return static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof how));
}

std::unexpected<Error> classify(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
      return fail(Code::kNotFound, "openat2");
    case EXDEV:   // leads outside
    case ELOOP:   // too many links, or a magic one
    case EACCES:  // not for us
    case EPERM:
    case ENXIO:  // a socket, or a device without its hardware
    case ENODEV:
      return fail(Code::kInvalid, "openat2", "not to be served");
    default:
      return fail_system("openat2", error);
  }
}

int64_t nanoseconds(const timespec& time) { return time.tv_sec * int64_t{1'000'000'000} + time.tv_nsec; }

}  // namespace

FileIdentity identity_of(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = static_cast<uint64_t>(status.st_size),
          .modified_ns = nanoseconds(status.st_mtim),
          .changed_ns = nanoseconds(status.st_ctim)};
}

Result<Folder> Folder::open(const std::string& path) {
  Descriptor descriptor(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor) return fail_system("folder of files");
  return Folder(path, std::move(descriptor));
}

Result<void> Folder::put(std::string at, const std::string& root, const std::string& path) {
  const Descriptor above(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!above) return fail_system("folder of files");
  struct open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  Descriptor descriptor(
      static_cast<int>(::syscall(SYS_openat2, above.get(), path.c_str(), &how, sizeof how)));
  if (!descriptor) return fail_system("folder of files");
  inner_.push_back({.at = std::move(at), .descriptor = std::move(descriptor)});
  return {};
}

int Folder::folder_of(std::string_view& path) const {
  for (const Inner& each : inner_) {
    const bool inside =
        path.starts_with(each.at) && (path.size() == each.at.size() || path[each.at.size()] == '/');
    if (!inside) continue;
    path.remove_prefix(each.at.size());
    if (path.starts_with('/')) path.remove_prefix(1);
    return each.descriptor.get();
  }
  path.remove_prefix(1);
  return descriptor_.get();
}

Result<Descriptor> Folder::open_beneath(std::string_view path, Patience patience) const {
  ASSERT(path.starts_with('/'));
  std::array<char, PATH_MAX> relative;
  const int folder = folder_of(path);
  if (path.empty()) path = ".";
  if (path.size() >= relative.size()) return fail(Code::kNotFound, "openat2");
  std::memcpy(relative.data(), path.data(), path.size());
  relative[path.size()] = '\0';

  const bool cached_only = patience == Patience::kCachedOnly;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    Descriptor file(open_how(folder, relative.data(), cached_only ? RESOLVE_CACHED : 0));
    if (file) return file;
    if (errno == EAGAIN && cached_only) return fail(Code::kWouldBlock, "openat2");
    if (errno != EAGAIN && errno != EINTR) return classify(errno);
  }
  return fail(Code::kInvalid, "openat2", "renamed again and again");
}

bool is_hidden(std::string_view path) {
  size_t dot = path.find("/.");
  if (dot == 0 && (path.starts_with("/.well-known/") || path == "/.well-known")) dot = path.find("/.", 1);
  return dot != std::string_view::npos;
}

Result<std::string> read_content(int file, uint64_t bytes, Patience patience) {
  std::string content;
  content.resize(bytes);
  uint64_t done = 0;
  while (done < bytes) {
    const iovec part{content.data() + done, bytes - done};
    const int flags = patience == Patience::kCachedOnly ? RWF_NOWAIT : 0;
    const ssize_t got = ::preadv2(file, &part, 1, static_cast<off_t>(done), flags);
    if (got == 0) return fail(Code::kInvalid, "preadv2", "shorter than it was");
    if (got > 0) {
      done += static_cast<uint64_t>(got);
      continue;
    }
    if (errno == EINTR) continue;
    // Some file systems cannot say whether they would block.
    const bool would_block = errno == EAGAIN || errno == EOPNOTSUPP;
    if (patience == Patience::kCachedOnly && would_block) return fail(Code::kWouldBlock, "preadv2");
    return fail_system("preadv2");
  }
  return content;
}

}  // namespace terrace::web

#include "program/secrets.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "base/file.h"
#include "program/site_folders.h"

namespace terrace::program {
namespace {

constexpr const char* kTemporary = ".new";

std::unexpected<Error> failure(const char* place) {
  if (errno == ENOENT) return fail(Code::kNotFound, place, "there is none");
  return fail_system(place);
}

Result<std::string> read_at(int folder, const std::string& name) {
  const Descriptor file(
      ::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file) return failure("open");
  struct stat about{};
  if (::fstat(file.get(), &about) != 0) return fail_system("stat");
  if (!S_ISREG(about.st_mode) || about.st_uid != ::geteuid())
    return fail(Code::kInvalid, "secret", "it is not a file of this user");
  std::string value(kSecretBytesMax + 1, '\0');
  size_t filled = 0;
  while (filled < value.size()) {
    const ssize_t n = ::read(file.get(), value.data() + filled, value.size() - filled);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_system("read");
    if (n == 0) break;
    filled += static_cast<size_t>(n);
  }
  if (filled > kSecretBytesMax) return fail(Code::kLimit, "secret", "it is longer than 16 KiB");
  value.resize(filled);
  if (value.find('\0') != std::string::npos) return fail(Code::kInvalid, "secret", "it holds a zero byte");
  return value;
}

Result<std::vector<SecretEntry>> list_in(const Descriptor& folder) {
  const int own = ::openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> open(own >= 0 ? ::fdopendir(own) : nullptr, ::closedir);
  if (!open) {
    if (own >= 0) ::close(own);
    return fail_system("opendir");
  }
  std::vector<SecretEntry> entries;
  while (const dirent* each = ::readdir(open.get())) {
    struct stat about{};
    if (!config::is_secret_name(each->d_name) || entries.size() == kSecretsMax ||
        ::fstatat(folder.get(), each->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    entries.push_back({each->d_name, std::chrono::system_clock::from_time_t(about.st_mtime)});
  }
  std::ranges::sort(entries, {}, &SecretEntry::name);
  return entries;
}

// Replaces the file whole; one at a time, whoever else does the same.
Result<void> write_at(const Descriptor& folder, const std::string& name, std::string_view value) {
  if (::flock(folder.get(), LOCK_EX) != 0) return fail_system("flock");
  ::unlinkat(folder.get(), kTemporary, 0);
  const Descriptor file(
      ::openat(folder.get(), kTemporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return fail_system("open");
  Result<void> done = write_all(file.get(), value);
  if (done && ::fsync(file.get()) != 0) done = fail_system("fsync");
  if (done && ::renameat(folder.get(), kTemporary, folder.get(), name.c_str()) != 0)
    done = fail_system("rename");
  if (!done) ::unlinkat(folder.get(), kTemporary, 0);
  if (done) ::fsync(folder.get());
  return done;
}

Result<void> check_name(std::string_view name) {
  if (config::is_secret_name(name)) return {};
  return fail(Code::kInvalid, "name", "letters, digits and `_`, no digit first, at most 64");
}

}  // namespace

std::string wrong_with_secret(std::string_view value) {
  if (value.empty()) return "it is empty";
  if (value.size() > kSecretBytesMax) return "it is longer than 16 KiB";
  return value.find('\0') != std::string_view::npos ? "it holds a zero byte" : "";
}

Result<Descriptor> SecretFolder::open() const {
  Descriptor folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat about{};
  if (!folder) return failure("open");
  if (::fstat(folder.get(), &about) != 0) return fail_system("stat");
  if (about.st_uid != ::geteuid())
    return fail(Code::kUnavailable, "the folder", "it belongs to another user");
  if ((about.st_mode & 07777) != 0700 && ::fchmod(folder.get(), 0700) != 0) return fail_system("chmod");
  return folder;
}

Result<Descriptor> SecretFolder::make() const {
  // Root reads folders of others, and would not notice that they are.
  const std::string above = folder_.substr(0, folder_.rfind('/'));
  if (Result<void> made = make_folders(above, 0711); !made) return std::unexpected(made.error());
  hide_from_git(above);
  if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST) return fail_system("mkdir");
  return open();
}

Result<void> SecretFolder::set(std::string_view name, std::string_view value) const {
  if (Result<void> named = check_name(name); !named) return named;
  if (!wrong_with_secret(value).empty()) return fail(Code::kInvalid, "value", "it cannot be a secret");
  const Result<Descriptor> folder = make();
  if (!folder) return std::unexpected(folder.error());
  const Result<std::vector<SecretEntry>> all = list_in(*folder);
  if (!all) return std::unexpected(all.error());
  const bool known = std::ranges::find(*all, name, &SecretEntry::name) != all->end();
  if (!known && all->size() >= kSecretsMax) return fail(Code::kLimit, "secret", "there are 256 already");
  return write_at(*folder, std::string(name), value);
}

Result<std::string> SecretFolder::get(std::string_view name) const {
  if (Result<void> named = check_name(name); !named) return std::unexpected(named.error());
  const Result<Descriptor> folder = open();
  if (!folder) return std::unexpected(folder.error());
  return read_at(folder->get(), std::string(name));
}

Result<void> SecretFolder::remove(std::string_view name) const {
  if (Result<void> named = check_name(name); !named) return named;
  const Result<Descriptor> folder = open();
  if (!folder) return std::unexpected(folder.error());
  if (::unlinkat(folder->get(), std::string(name).c_str(), 0) != 0) return failure("unlink");
  ::fsync(folder->get());
  return {};
}

Result<std::vector<SecretEntry>> SecretFolder::list() const {
  const Result<Descriptor> folder = open();
  if (!folder && folder.error().code == Code::kNotFound) return std::vector<SecretEntry>();
  if (!folder) return std::unexpected(folder.error());
  return list_in(*folder);
}

Result<std::string> SecretFolder::pack() const {
  const Result<Descriptor> folder = open();
  if (!folder && folder.error().code == Code::kNotFound) return std::string();
  if (!folder) return std::unexpected(folder.error());
  const Result<std::vector<SecretEntry>> all = list_in(*folder);
  if (!all) return std::unexpected(all.error());
  std::string packed;
  // At once, and each value wiped: growing would leave copies in freed memory.
  packed.reserve(kPackedSecretsBytesMax);
  for (const SecretEntry& entry : *all) {
    Result<std::string> value = read_at(folder->get(), entry.name);
    // It may have been removed just now.
    if (!value && value.error().code == Code::kNotFound) continue;
    if (!value) return std::unexpected(value.error());
    packed.append(entry.name).append("=").append(*value).push_back('\0');
    ::explicit_bzero(value->data(), value->size());
  }
  return packed;
}

std::map<std::string, std::string> unpack_secrets(std::string_view packed) {
  std::map<std::string, std::string> secrets;
  while (!packed.empty()) {
    const std::string_view one = packed.substr(0, packed.find('\0'));
    packed.remove_prefix(std::min(one.size() + 1, packed.size()));
    const size_t equals = one.find('=');
    if (equals != std::string_view::npos)
      secrets.emplace(std::string(one.substr(0, equals)), std::string(one.substr(equals + 1)));
  }
  return secrets;
}

config::Inputs inputs_with_packed(std::string packed) {
  config::Inputs inputs = config::real_inputs();
  inputs.secret = [secrets = unpack_secrets(packed)](const std::string& name) -> Result<std::string> {
    const auto found = secrets.find(name);
    if (found == secrets.end()) return fail(Code::kNotFound, "secret");
    return found->second;
  };
  ::explicit_bzero(packed.data(), packed.size());
  return inputs;
}

config::Inputs inputs_with_files(std::string folder) {
  config::Inputs inputs = config::real_inputs();
  inputs.secret = [secrets =
                       SecretFolder(std::move(folder))](const std::string& name) -> Result<std::string> {
    Result<std::string> value = secrets.get(name);
    const bool closed =
        !value && (value.error().system == EACCES || value.error().code == Code::kUnavailable);
    if (closed) return fail(Code::kUnavailable, "secret");
    return value;
  };
  return inputs;
}

}  // namespace terrace::program

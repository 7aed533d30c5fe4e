// job-link: what outlives a release is moved out of it and linked back.

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "program/command_line.h"
#include "program/job_commands.h"

namespace terrace::program {
namespace {

namespace fs = std::filesystem;

constexpr auto kCopy = fs::copy_options::recursive | fs::copy_options::copy_symlinks;

// The first time: what the release has there, or an empty folder. Beside its place
// first, so that a copy that was cut short is never taken for the whole.
void keep(const fs::path& in_release, const fs::path& kept) {
  if (fs::exists(fs::symlink_status(kept))) return;
  fs::create_directories(kept.parent_path());
  const fs::path partial = kept.string() + ".partial";
  fs::remove_all(partial);
  const fs::file_status there = fs::symlink_status(in_release);
  if (fs::is_directory(there) || fs::is_regular_file(there)) {
    fs::copy(in_release, partial, kCopy);
  } else {
    fs::create_directory(partial);
  }
  fs::rename(partial, kept);
}

void link(const fs::path& release, const fs::path& writable, const fs::path& path) {
  const fs::path in_release = (release / path).lexically_normal();
  const fs::path kept = (writable / path).lexically_normal();
  // A link on the way would lead out of the release.
  if (fs::weakly_canonical(in_release.parent_path()) != in_release.parent_path())
    throw fs::filesystem_error("a link is on the way", in_release,
                               std::make_error_code(std::errc::too_many_links));
  keep(in_release, kept);
  fs::remove_all(in_release);
  fs::create_directories(in_release.parent_path());
  fs::create_symlink(kept, in_release);
  fmt::print("{} -> {}\n", path.string(), kept.string());
}

}  // namespace

int run_job_link(std::span<const char* const> arguments) {
  if (arguments.size() < 2) return kExitCannotRead;
  try {
    for (const char* path : arguments.subspan(2))
      link(fs::canonical(arguments[0]), fs::canonical(arguments[1]), path);
  } catch (const fs::filesystem_error& error) {
    fmt::print("terrace: {}\n", error.what());
    return kExitFailure;
  }
  return kExitFine;
}

}  // namespace terrace::program

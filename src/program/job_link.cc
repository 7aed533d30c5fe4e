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

bool is_there(const fs::path& path) { return fs::exists(fs::symlink_status(path)); }

// A link on the way would lead out of the release.
void refuse_links_above(const fs::path& path) {
  if (fs::weakly_canonical(path.parent_path()) != path.parent_path())
    throw fs::filesystem_error("a link is on the way", path, std::make_error_code(std::errc::too_many_links));
}

// A folder that Terrace made for an application that wrote nothing says nothing.
bool has_content(const fs::path& path) {
  const fs::file_status status = fs::symlink_status(path);
  return fs::is_regular_file(status) || (fs::is_directory(status) && !fs::is_empty(path));
}

// Only the first time. Beside its place first, so that a copy that was cut short is never
// taken for the whole.
void keep(const fs::path& from, const fs::path& kept) {
  if (is_there(kept)) return;
  fs::create_directories(kept.parent_path());
  const fs::path partial = kept.string() + ".partial";
  fs::remove_all(partial);
  fs::copy(from, partial, kCopy);
  fs::rename(partial, kept);
}

// Until a release serves the site goes on writing to its own folder: what a deploy that
// failed has copied is old. It stays beside the new copy until a release has served.
void set_aside(const fs::path& kept) {
  const fs::path earlier = kept.string() + ".earlier";
  fs::remove_all(earlier);
  if (is_there(kept)) fs::rename(kept, earlier);
}

// Of an open SQLite database, whose parts belong together.
bool is_of_open_database(const fs::path& path) {
  const std::string name = path.filename();
  return name.ends_with("-wal") || name.ends_with("-shm") || name.ends_with("-journal");
}

// What is missing at `kept`. What is there may be in use by now, and stays.
void add_missing(const fs::path& from, const fs::path& kept) {
  const fs::file_status status = fs::symlink_status(from);
  const fs::file_status there = fs::symlink_status(kept);
  if (fs::is_directory(status) && fs::is_directory(there)) {
    for (const fs::directory_entry& entry : fs::directory_iterator(from))
      add_missing(entry.path(), kept / entry.path().filename());
    return;
  }
  const bool copied = fs::is_directory(status) || fs::is_regular_file(status) || fs::is_symlink(status);
  if (copied && !fs::exists(there) && !is_of_open_database(from)) keep(from, kept);
}

void link(const fs::path& name, const fs::path& target) {
  fs::remove_all(name);
  fs::create_directories(name.parent_path());
  fs::create_symlink(target, name);
  fmt::print("{} -> {}\n", name.filename().string(), target.string());
}

void link_writable(const fs::path& release, const fs::path& folder, const fs::path& writable,
                   const fs::path& path) {
  const fs::path name = (release / path).lexically_normal();
  const fs::path kept = (writable / path).lexically_normal();
  refuse_links_above(name);
  if (!folder.empty() && is_there(folder / path)) set_aside(kept);
  if (folder.empty()) fs::remove_all(kept.string() + ".earlier");
  for (const fs::path& from : {folder.empty() ? folder : folder / path, name}) {
    if (has_content(from)) keep(from, kept);
  }
  if (!is_there(kept)) fs::create_directories(kept);
  link(name, kept);
}

void link_database(const fs::path& release, const fs::path& database, const fs::path& path) {
  const fs::path name = (release / path).lexically_normal();
  refuse_links_above(name);
  if (fs::is_regular_file(fs::symlink_status(name))) keep(name, database);
  link(name, database);
}

}  // namespace

int run_job_link(std::span<const char* const> arguments) {
  constexpr size_t kPaths = 5;
  if (arguments.size() < kPaths) return kExitCannotRead;
  try {
    const fs::path release = fs::canonical(arguments[0]);
    if (*arguments[3] != '\0') link_database(release, arguments[4], arguments[3]);
    for (const char* path : arguments.subspan(kPaths))
      link_writable(release, arguments[1], fs::canonical(arguments[2]), path);
  } catch (const fs::filesystem_error& error) {
    fmt::print("terrace: {}\n", error.what());
    return kExitFailure;
  }
  return kExitFine;
}

int run_job_late_writes(std::span<const char* const> arguments) {
  constexpr size_t kPaths = 2;
  if (arguments.size() < kPaths) return kExitCannotRead;
  try {
    const fs::path folder = arguments[0];
    const fs::path writable = fs::canonical(arguments[1]);
    for (const fs::path path : arguments.subspan(kPaths))
      add_missing(folder / path, (writable / path).lexically_normal());
  } catch (const fs::filesystem_error& error) {
    fmt::print("terrace: {}\n", error.what());
    return kExitFailure;
  }
  return kExitFine;
}

}  // namespace terrace::program

#include "program/site_path.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

namespace terrace::program {
namespace {

namespace fs = std::filesystem;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string absolute(const std::string& path) {
  std::error_code failed;
  const fs::path result = fs::absolute(path, failed);
  return failed ? path : result.lexically_normal().string();
}

// The folders of the one who asks, or of the other kind of user when only there
// a site ran.
Folders running_folders(const std::string& site_path) {
  const bool root = geteuid() == 0;
  const Folders own = folders_of(site_path, root);
  const Folders other = folders_of(site_path, !root);
  const bool only_other = !is_there(control_socket(own)) && is_there(control_socket(other));
  return only_other ? other : own;
}

}  // namespace

std::optional<std::string> find_site(const std::string& file) {
  if (!file.empty()) return is_there(file) ? std::optional(absolute(file)) : std::nullopt;
  for (const char* usual : {kSiteFileName, kSystemSiteFile}) {
    if (is_there(usual)) return absolute(usual);
  }
  return std::nullopt;
}

std::optional<std::string> find_running_site(const std::string& file) {
  std::optional<std::string> found = find_site(file);
  if (!file.empty() || !found || is_there(find_control_socket(*found))) return found;
  const bool system_runs = is_there(kSystemSiteFile) && is_there(find_control_socket(kSystemSiteFile));
  if (system_runs) return kSystemSiteFile;
  return found;
}

std::string shown_site(const std::string& file, const std::string& site_path) {
  if (!file.empty()) return file;
  return site_path == kSystemSiteFile ? site_path : kSiteFileName;
}

std::string no_site_text(const std::string& file) {
  if (!file.empty()) return fmt::format("no such site file: {}", file);
  return fmt::format("no site file: neither ./{} nor {} is there; name one with --file", kSiteFileName,
                     kSystemSiteFile);
}

std::string find_control_socket(const std::string& site_path) {
  return control_socket(running_folders(site_path));
}

Folders find_folders(const std::string& site_path) {
  const bool root = geteuid() == 0;
  const Folders own = folders_of(site_path, root);
  const Folders other = folders_of(site_path, !root);
  return !is_there(own.state) && is_there(other.state) ? other : own;
}

std::string find_log_folder(const std::string& site_path) {
  const bool root = geteuid() == 0;
  const Folders own = folders_of(site_path, root);
  const Folders other = folders_of(site_path, !root);
  return !is_there(own.log) && is_there(other.log) ? other.log : running_folders(site_path).log;
}

}  // namespace terrace::program

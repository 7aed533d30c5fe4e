// terrace init: a site file for the project in a folder.

#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/descriptor.h"
#include "program/commands.h"
#include "program/launch.h"
#include "program/output.h"
#include "program/recognition.h"
#include "program/site_path.h"
#include "topology/load.h"

namespace terrace::program {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNameMax = 63;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The folder's name with what a site's name must not have as `-`.
std::string site_name(const std::string& folder) {
  std::string name;
  for (const char c : fs::path(folder).filename().string().substr(0, kNameMax)) {
    const bool plain = is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (plain || !name.empty()) name += plain ? c : '-';
  }
  while (!name.empty() && !is_letter(name[0])) name.erase(0, 1);
  while (name.ends_with('-')) name.pop_back();
  return name.empty() ? "site" : name;
}

std::string application_path() {
  const char* own = ::geteuid() == 0 ? nullptr : std::getenv("PATH");
  return own != nullptr ? own : kSystemPath;
}

// The first folder on the way that other users may not enter; empty when all are open.
std::string closed_to_others(const fs::path& folder) {
  fs::path at;
  for (const fs::path& part : folder) {
    at /= part;
    struct stat about{};
    if (::stat(at.c_str(), &about) == 0 && (about.st_mode & S_IXOTH) == 0) return at.string();
  }
  return "";
}

void add_what_root_needs(const std::string& folder, Recognition& site) {
  if (::geteuid() != 0) return;
  const std::string closed = closed_to_others(folder);
  if (closed.empty()) return;
  const std::string better = "/srv/" + fs::path(folder).filename().string();
  const char* who = site.framework == Framework::kStatic ? "Terrace serves as the user terrace"
                                                         : "the application runs as the user terrace-app";
  site.next.insert(site.next.begin(),
                   fmt::format("as root {}, who cannot enter {}: mv {} {}", who, closed, folder, better));
}

std::string not_recognised(const std::string& folder, std::optional<Framework> wanted) {
  if (wanted) {
    const FrameworkName& name = about(*wanted);
    return fmt::format("no {} project in {}; looked for {}", name.title, folder, name.signs);
  }
  std::string text = fmt::format("no project that I know in {}; looked for\n", folder);
  for (const FrameworkName& name : all_frameworks())
    text += fmt::format("  {:<8} {}\n", name.name, name.signs);
  return text + "Any program that speaks HTTP can be served: name it in [app] run of a site.toml.";
}

// Never over a file that is there.
std::string write_new(const std::string& path, std::string_view text) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file) return ::strerror(errno);
  const ssize_t written = ::write(file.get(), text.data(), text.size());
  if (written == static_cast<ssize_t>(text.size())) return "";
  const std::string why = ::strerror(written < 0 ? errno : ENOSPC);
  ::unlink(path.c_str());
  return why;
}

std::string make_folders_of(const Recognition& site, const std::string& folder) {
  for (const std::string& each : site.folders) {
    std::error_code failed;
    fs::create_directories(fs::path(folder) / each, failed);
    if (failed) return failed.message();
  }
  return "";
}

void show(const Recognition& site, const std::string& path, const topology::LoadedSite& loaded) {
  print(fmt::format("This is a {} project: {}.\n\n{} says\n", about(site.framework).title, site.found, path));
  for (const DraftKey& key : site.keys) {
    print(fmt::format("  [{}] {} = {}\n", key.table, key.name, key.value));
    if (!key.why.empty()) print(fmt::format("      {}\n", key.why));
  }
  if (!loaded.site) print(fmt::format("\nIt is not complete yet:\n{}", loaded.text));
  print("\nNow\n");
  for (const std::string& next : site.next) print(fmt::format("  - {}\n", next));
  const std::string folder = path.substr(0, path.rfind('/'));
  std::error_code failed;
  print(fs::current_path(failed) == folder ? "  - terrace up\n"
                                           : fmt::format("  - cd {} && terrace up\n", folder));
}

void show_json(const Recognition& site, const std::string& path, const topology::LoadedSite& loaded) {
  nlohmann::ordered_json keys = nlohmann::ordered_json::array();
  for (const DraftKey& key : site.keys)
    keys.push_back({{"key", key.table + "." + key.name}, {"value", key.value}, {"why", key.why}});
  const nlohmann::ordered_json whole = {{"ok", loaded.site != nullptr},
                                        {"framework", about(site.framework).name},
                                        {"found", site.found},
                                        {"file", path},
                                        {"keys", keys},
                                        {"next", site.next}};
  print(whole.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace

int run_init(const CommandLine& line) {
  std::error_code failed;
  const std::string folder = fs::canonical(line.folder.empty() ? "." : line.folder, failed).string();
  if (failed || !fs::is_directory(folder, failed))
    return complain(fmt::format("no such folder: {}", line.folder), line.json, kExitCannotRead);
  const std::optional<Framework> wanted = framework_named(line.framework);
  if (!line.framework.empty() && !wanted)
    return complain(
        fmt::format("no framework `{}`: django, rails, flask, node, cpp or static", line.framework),
        line.json, kExitCannotRead);
  const std::string path = folder + "/" + kSiteFileName;
  if (fs::exists(fs::symlink_status(path, failed)))
    return complain(fmt::format("there is a site file already, and it stays as it is: {}", path), line.json,
                    kExitFailure);
  std::optional<Recognition> site = recognise(Project(folder, application_path()), wanted);
  if (!site) return complain(not_recognised(folder, wanted), line.json, kExitFailure);
  site->keys.insert(site->keys.begin(),
                    {.table = "site", .name = "name", .value = toml_text(site_name(folder)), .why = ""});
  add_what_root_needs(folder, *site);
  std::string why = make_folders_of(*site, folder);
  if (why.empty()) why = write_new(path, site_text(*site));
  if (!why.empty()) return complain(fmt::format("cannot write {}: {}", path, why), line.json, kExitFailure);
  const topology::LoadedSite loaded = topology::load_site(path);
  line.json ? show_json(*site, path, loaded) : show(*site, path, loaded);
  return loaded.site ? kExitFine : kExitFailure;
}

}  // namespace terrace::program

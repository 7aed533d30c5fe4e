#include "program/recognition.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <regex>
#include <sstream>
#include <system_error>
#include <tuple>

#include "base/file.h"

namespace terrace::program {
namespace {

namespace fs = std::filesystem;

constexpr std::array kFrameworks = {
    FrameworkName{Framework::kDjango, "django", "Django", "manage.py that names a settings module"},
    FrameworkName{Framework::kRails, "rails", "Rails", "Gemfile with rails, and config.ru"},
    FrameworkName{Framework::kFlask, "flask", "Flask", "a Python file with Flask(…) or create_app()"},
    FrameworkName{Framework::kNode, "node", "Node", "package.json with a start script or a program"},
    FrameworkName{Framework::kCpp, "cpp", "C++", "CMakeLists.txt with add_executable()"},
    FrameworkName{Framework::kStatic, "static", "static", "index.html, or a folder such as public/ with one"},
};
// What is installed or made there is nobody's source.
constexpr std::array kForeign = {"node_modules", "venv", "env", "vendor",     "build",
                                 "dist",         "tmp",  "log", "__pycache__"};
constexpr int kDepthMax = 2;
constexpr size_t kLineMax = 400;  // longer ones are no code that a person wrote
constexpr size_t kCommentColumns = 100;

// A route of Django, Flask, Express, Rails or cpp-httplib.
constexpr const char* kHealthRoute =
    R"re(\b(?:path|re_path|route|get|Get|all|use|match)\b\s*\(?\s*r?["'`]\^?/?((?:up|healthz?|health_check|healthcheck)/?)["'`$])re";
// The order of the site file.
constexpr std::array kTables = {"site", "app", "web", "db"};
constexpr std::array kKeys = {"name", "run", "build", "migrate", "packages"};

size_t place_of(const auto& names, const std::string& name) {
  return static_cast<size_t>(std::ranges::find(names, name) - names.begin());
}

// By table and place; what is of no known name keeps its order.
std::vector<DraftKey> sorted(const std::vector<DraftKey>& keys) {
  std::vector<std::tuple<size_t, size_t, size_t>> order;
  for (size_t i = 0; i < keys.size(); ++i)
    order.emplace_back(place_of(kTables, keys[i].table), place_of(kKeys, keys[i].name), i);
  std::ranges::sort(order);
  std::vector<DraftKey> result;
  for (const auto& place : order) result.push_back(keys[std::get<2>(place)]);
  return result;
}

bool is_foreign(const std::string& name) { return std::ranges::find(kForeign, name) != kForeign.end(); }

std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> folders;
  std::istringstream rest(path);
  for (std::string folder; std::getline(rest, folder, ':');) {
    if (!folder.empty()) folders.push_back(folder);
  }
  return folders;
}

void collect(const Project& project, const std::string& folder, std::string_view ending, int depth,
             std::vector<std::string>& found) {
  for (const std::string& name : project.names(folder)) {
    const std::string path = folder.empty() ? name : folder + "/" + name;
    if (found.size() >= kFilesMax) return;
    if (project.has_file(path)) {
      if (name.ends_with(ending)) found.push_back(path);
    } else if (depth < kDepthMax && !is_foreign(name)) {
      collect(project, path, ending, depth + 1, found);
    }
  }
}

// As comment lines of at most kCommentColumns.
std::string comment(const std::string& text) {
  std::string lines;
  std::string line = "#";
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (line.size() > 1 && line.size() + 1 + word.size() > kCommentColumns) {
      lines += line + "\n";
      line = "#";
    }
    line += " " + word;
  }
  return lines + line + "\n";
}

}  // namespace

// ---- frameworks

std::span<const FrameworkName> all_frameworks() { return kFrameworks; }

std::optional<Framework> framework_named(std::string_view name) {
  const auto found = std::ranges::find(kFrameworks, name, &FrameworkName::name);
  return found == kFrameworks.end() ? std::nullopt : std::optional(found->framework);
}

const FrameworkName& about(Framework framework) {
  return *std::ranges::find(kFrameworks, framework, &FrameworkName::framework);
}

std::optional<Recognition> recognise(const Project& project, std::optional<Framework> wanted) {
  using Recogniser = std::optional<Recognition> (*)(const Project&);
  constexpr std::array<std::pair<Framework, Recogniser>, 6> kRecognisers = {{
      {Framework::kDjango, recognise_django},
      {Framework::kRails, recognise_rails},
      {Framework::kFlask, recognise_flask},
      {Framework::kNode, recognise_node},
      {Framework::kCpp, recognise_cpp},
      {Framework::kStatic, recognise_static},
  }};
  for (const auto& [framework, recogniser] : kRecognisers) {
    if (wanted && *wanted != framework) continue;
    if (std::optional<Recognition> found = recogniser(project)) {
      found->framework = framework;
      found->keys = sorted(found->keys);
      return found;
    }
  }
  return std::nullopt;
}

// ---- the project

Project::Project(std::string folder, std::string path, std::string system)
    : folder_(std::move(folder)), path_(split_path(path)), system_(std::move(system)) {}

bool Project::has_file(const std::string& path) const {
  std::error_code ignored;
  return fs::is_regular_file(fs::path(folder_) / path, ignored);
}

bool Project::has_folder(const std::string& path) const {
  std::error_code ignored;
  return fs::is_directory(fs::path(folder_) / path, ignored);
}

std::string Project::text(const std::string& path) const {
  return has_file(path) ? read_file(folder_ + "/" + path, kTextBytesMax).value_or("") : "";
}

std::vector<std::string> Project::names(const std::string& path) const {
  std::vector<std::string> names;
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(fs::path(folder_) / path, failed)) {
    std::string name = entry.path().filename().string();
    if (!name.starts_with('.')) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> Project::files(std::string_view ending) const {
  std::vector<std::string> found;
  collect(*this, "", ending, 0, found);
  return found;
}

bool Project::on_system(const std::string& path) const {
  std::error_code ignored;
  return fs::exists(system_ + path, ignored);
}

std::vector<std::string> Project::system_names(const std::string& path) const {
  std::vector<std::string> names;
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(system_ + path, failed))
    names.push_back(entry.path().filename().string());
  return names;
}

bool Project::has_program(const std::string& name) const {
  return std::ranges::any_of(path_,
                             [&](const std::string& folder) { return on_system(folder + "/" + name); });
}

bool Project::has_package(const std::string& name) const {
  const std::string list = "/var/lib/dpkg/info/" + name;
  return on_system(list + ".list") || on_system(list + ":amd64.list") || on_system(list + ":arm64.list");
}

// ---- the site file

std::string toml_text(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string toml_list(const std::vector<std::string>& texts) {
  std::vector<std::string> quoted;
  for (const std::string& text : texts) quoted.push_back(toml_text(text));
  return fmt::format("[{}]", fmt::join(quoted, ", "));
}

std::string site_text(const Recognition& recognition) {
  std::string text =
      fmt::format("# Made by `terrace init` for a {} project: {}.\n# Every key: terrace schema --manual\n",
                  about(recognition.framework).title, recognition.found);
  std::string_view table;
  for (const DraftKey& key : recognition.keys) {
    if (key.table != table) text += fmt::format("\n[{}]\n", key.table);
    table = key.table;
    if (!key.why.empty()) text += comment(key.why);
    text += fmt::format("{} = {}\n", key.name, key.value);
    if (key.table == "site" && key.name == "name")
      text += "# domain = \"example.com\"  # once the site has one: `terrace dns` says what to enter there\n";
  }
  return text;
}

// ---- what recognisers share

void add_packages(Recognition& recognition, const Project& project, std::vector<std::string> candidates) {
  std::vector<std::string> names;
  for (std::string& name : candidates) {
    if (project.has_package(name) && std::ranges::find(names, name) == names.end())
      names.push_back(std::move(name));
  }
  if (names.empty()) return;
  recognition.keys.push_back({.table = "app",
                              .name = "packages",
                              .value = toml_list(names),
                              .why = "Debian packages that another server needs, too."});
}

void add_public_folder(Recognition& recognition, const Project& project, const std::string& why) {
  if (project.names("public").empty()) return;
  recognition.keys.push_back({.table = "web", .name = "files", .value = toml_text("public"), .why = why});
}

std::string find_in(const std::string& text, const std::string& expression) {
  const std::regex regex(expression);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (line.size() > kLineMax || !std::regex_search(line, match, regex)) continue;
    return match.size() > 1 ? match[1].str() : match[0].str();
  }
  return "";
}

std::string find_health_path(const std::vector<std::string>& sources) {
  for (const std::string& source : sources) {
    std::string path = find_in(source, kHealthRoute);
    if (!path.empty()) return "/" + path;
  }
  return "";
}

}  // namespace terrace::program

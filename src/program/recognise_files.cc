// What has no framework: files alone, and C++ with CMake.

#include <fmt/format.h>

#include <array>

#include "program/recognition.h"

namespace terrace::program {
namespace {

// Where site generators put what they made.
constexpr std::array kPublished = {"public", "dist", "_site", "site", "html",
                                   "htdocs", "www",  "build", "out",  "docs"};

std::string published_folder(const Project& project) {
  for (const char* folder : kPublished) {
    if (project.has_file(std::string(folder) + "/index.html")) return folder;
  }
  return "";
}

}  // namespace

std::optional<Recognition> recognise_static(const Project& project) {
  const std::string folder = project.has_file("index.html") ? "." : published_folder(project);
  if (folder.empty()) return std::nullopt;
  Recognition site;
  site.found = folder == "." ? "index.html" : folder + "/index.html";
  site.keys.push_back({"web", "files", toml_text(folder),
                       folder == "." ? "This folder, but for this file and hidden ones." : ""});
  site.keys.push_back({"web", "cache", R"({ "*.html" = "no-cache" })",
                       "A browser asks each time whether a page has changed: without this it may show the "
                       "page of an earlier release."});
  return site;
}

std::optional<Recognition> recognise_cpp(const Project& project) {
  const std::string lists = project.text("CMakeLists.txt");
  const std::string name = find_in(lists, R"(^\s*project\s*\(\s*([A-Za-z0-9_.-]+))");
  std::string target = find_in(lists, R"(^\s*add_executable\s*\(\s*([A-Za-z0-9_.-]+|\$\{PROJECT_NAME\}))");
  if (target == "${PROJECT_NAME}") target = name;
  if (target.empty()) return std::nullopt;
  Recognition site;
  site.found = "CMakeLists.txt with the program " + target;
  const std::string build = fmt::format(
      "cmake -S . -B build -DCMAKE_BUILD_TYPE=Release && cmake --build build --target {}", target);
  const std::string anew = "rm -rf build && " + build;
  add_packages(site, project, {"cmake", "g++"});
  site.keys.push_back(
      {"app", "build", toml_text(anew),
       "Once per `terrace deploy`. CMake refuses a folder that it configured elsewhere, such as "
       "one that came with the project."});
  site.keys.push_back(
      {"app", "run", toml_text("build/" + target), "It listens on 127.0.0.1, on the port in PORT."});
  std::vector<std::string> sources;
  for (const char* ending : {".cc", ".cpp", ".cxx"}) {
    for (const std::string& file : project.files(ending)) sources.push_back(project.text(file));
  }
  if (const std::string health = find_health_path(sources); !health.empty())
    site.keys.push_back(
        {"app", "health", toml_text(health), "A page that answers while the application is well."});
  add_public_folder(site, project, "Served by the web server; the rest goes to the application.");
  if (!project.has_file("build/" + target)) site.next.push_back("build it in this folder: " + build);
  return site;
}

}  // namespace terrace::program

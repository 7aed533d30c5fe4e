// Node: Express and whatever else package.json starts.

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "program/recognition.h"

namespace terrace::program {
namespace {

using nlohmann::json;

std::string text_at(const json& object, const char* name) {
  if (!object.is_object() || !object.contains(name) || !object[name].is_string()) return "";
  return object[name].get<std::string>();
}

json object_at(const json& object, const char* name) {
  return object.is_object() && object.contains(name) && object[name].is_object() ? object[name]
                                                                                 : json::object();
}

// "node server.js" and no more: then npm would only be a process in between. The shell's
// `${PORT}` is left to npm: in the site file it would be Terrace's own.
bool is_plain(const std::string& script) {
  return script.starts_with("node ") && script.find_first_of("&|;<>`\n") == std::string::npos &&
         script.find("${") == std::string::npos;
}

std::string script_command(const json& scripts, const char* name) {
  std::string script = text_at(scripts, name);
  if (script.empty()) return "";
  if (is_plain(script) && text_at(scripts, (std::string("pre") + name).c_str()).empty()) return script;
  return std::string_view(name) == "start" ? "npm start" : std::string("npm run ") + name;
}

// The file that `node` is given.
std::string program_of(const Project& project, const json& package, const std::string& start) {
  if (start.starts_with("node ")) {
    std::string file = start.substr(start.rfind(' ') + 1);
    if (file.starts_with("./")) file.erase(0, 2);
    return file;
  }
  for (const std::string& name :
       {text_at(package, "main"), std::string("server.js"), std::string("app.js"), std::string("index.js"),
        std::string("bin/www"), std::string("src/index.js")}) {
    if (!name.empty() && project.has_file(name)) return name;
  }
  return "";
}

std::vector<std::string> sources_of(const Project& project) {
  std::vector<std::string> sources;
  for (const char* ending : {".js", ".mjs", ".cjs", ".ts"}) {
    for (const std::string& file : project.files(ending)) sources.push_back(project.text(file));
  }
  sources.push_back(project.text("bin/www"));
  return sources;
}

bool any_has(const std::vector<std::string>& sources, const std::string& expression) {
  for (const std::string& source : sources) {
    if (!find_in(source, expression).empty()) return true;
  }
  return false;
}

void add_build(const Project& project, const json& package, Recognition& site) {
  const json scripts = object_at(package, "scripts");
  const bool builds = !text_at(scripts, "build").empty();
  const bool needs = !object_at(package, "dependencies").empty() ||
                     (builds && !object_at(package, "devDependencies").empty());
  std::string build;
  if (needs) build = project.has_file("package-lock.json") ? "npm ci" : "npm install";
  if (needs && builds) build += " --include=dev";
  if (builds) build += build.empty() ? "npm run build" : " && npm run build";
  if (build.empty()) return;
  site.keys.push_back({"app", "build", toml_text(build), "Once per `terrace deploy`."});
  if (needs && !project.has_folder("node_modules")) site.next.push_back("install its packages: " + build);
}

void add_health(const std::vector<std::string>& sources, Recognition& site) {
  std::string health = find_health_path(sources);
  if (health.empty() && !any_has(sources, R"re(\.(?:get|use|all)\(\s*["'`]/["'`])re")) {
    for (const std::string& source : sources) {
      if (health.empty())
        health = find_in(source, R"re(\b(?:app|router|server)\.get\(\s*["'`](/[^"'`:*]*)["'`])re");
    }
  }
  if (!health.empty())
    site.keys.push_back(
        {"app", "health", toml_text(health), "A page that answers while the application is well."});
}

}  // namespace

std::optional<Recognition> recognise_node(const Project& project) {
  const json package = json::parse(project.text("package.json"), nullptr, false);
  if (!package.is_object()) return std::nullopt;
  const json scripts = object_at(package, "scripts");
  const std::string start = script_command(scripts, "start");
  const std::string program = program_of(project, package, start);
  if (start.empty() && program.empty()) return std::nullopt;
  Recognition site;
  site.found = "package.json";
  if (object_at(package, "dependencies").contains("express")) site.found += " with Express";
  // Where Node is not Debian's, npm is a part of it, and Debian's would not go beside it.
  if (project.has_package("npm")) add_packages(site, project, {"nodejs", "npm"});
  add_build(project, package, site);
  const std::string run = start.empty() ? "node " + program : start;
  site.keys.push_back({"app", "run", toml_text(run), start.empty() ? "" : "What `npm start` runs."});
  if (const std::string migrate = script_command(scripts, "migrate"); !migrate.empty())
    site.keys.push_back({"app", "migrate", toml_text(migrate), ""});
  const std::vector<std::string> sources = sources_of(project);
  add_health(sources, site);
  site.keys.push_back({"app", "env", "{ NODE_ENV = \"production\" }", ""});
  add_public_folder(site, project, "Served by the web server; the rest goes to the application.");
  if (!any_has(sources, R"(env\.PORT|env\[.PORT)"))
    site.next.push_back("let it listen where Terrace says: in process.env.PORT, on 127.0.0.1");
  if (!project.has_program("node"))
    site.next.push_back("node is not where the application looks for it: apt install nodejs npm");
  return site;
}

}  // namespace terrace::program

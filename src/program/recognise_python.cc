// Django and Flask. Debian's own Python has Debian's packages, whatever python3 is
// first on somebody's PATH; a project with a virtual environment has those in it.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <regex>

#include "program/python_requirements.h"
#include "program/recognition.h"

namespace terrace::program {
namespace {

constexpr const char* kSystemPython = "/usr/bin/python3";
constexpr const char* kDebianModules = "/usr/lib/python3/dist-packages/";
// Threads of one instance: connections that are kept open take one each.
constexpr int kThreads = 8;

struct Python {
  std::string command;  // "/usr/bin/python3", ".venv/bin/python"
  bool own = false;     // a virtual environment in the project's folder
  bool gunicorn = false;
  std::string unmet;  // the line of requirements.txt for which it has an environment of its own
};

bool names_gunicorn(const Project& project) {
  return !find_in(project.text("requirements.txt"), "^gunicorn").empty();
}

Python python_of(const Project& project, const std::string& module) {
  for (const char* folder : {".venv", "venv", "env"}) {
    const std::string bin = std::string(folder) + "/bin/";
    if (project.has_file(bin + "python") || project.has_file(bin + "python3"))
      return {.command = bin + "python", .own = true, .gunicorn = project.has_file(bin + "gunicorn")};
  }
  const bool packaged = project.on_system(kDebianModules + module);
  const std::string unmet = unmet_requirement(project);
  if (!unmet.empty() || (!packaged && project.has_file("requirements.txt")))
    return {.command = ".venv/bin/python", .own = true, .gunicorn = names_gunicorn(project), .unmet = unmet};
  if (!packaged && !project.on_system(kSystemPython)) return {.command = "python3"};
  return {.command = kSystemPython, .gunicorn = project.on_system(std::string(kDebianModules) + "gunicorn")};
}

std::string gunicorn_advice(const Python& python, const std::string& command) {
  return fmt::format("install gunicorn ({}) and use it for [app] run: {}",
                     python.own ? "name it in requirements.txt" : "apt install gunicorn", command);
}

std::string gunicorn(const Python& python, const std::string& application) {
  return fmt::format("{} -m gunicorn --bind 127.0.0.1:$PORT --threads {} {}", python.command, kThreads,
                     application);
}

// Each release builds its own virtual environment. One that came with the project would
// not do: its programs name the folder in which it was made. In the project's own folder
// it is there, or is what the person makes next.
std::string environment_build(const Project& project, const Python& python, Recognition& site) {
  if (!python.own) return "";
  const std::string folder = python.command.substr(0, python.command.find('/'));
  std::string build = fmt::format("python3 -m venv --clear {0} && {0}/bin/pip install", folder);
  if (project.has_file("requirements.txt"))
    build += " -r requirements.txt";
  else if (project.has_file("pyproject.toml"))
    build += " .";
  else {
    site.next.push_back(fmt::format(
        "name its packages, for releases: {0}/bin/pip freeze > requirements.txt; then `terrace init` anew, "
        "without site.toml",
        folder));
    return "";
  }
  add_packages(site, project, {"python3-venv"});
  if (!project.has_folder(folder))
    site.next.push_back(fmt::format("make its virtual environment: {}", build));
  return build;
}

void add_build(const std::string& build, const Python& python, Recognition& site) {
  if (build.empty()) return;
  std::string why = "Once per `terrace deploy`.";
  if (!python.unmet.empty())
    why += fmt::format(" Debian's Python here does not satisfy `{}` of requirements.txt.", python.unmet);
  site.keys.push_back({"app", "build", toml_text(build), why});
}

// Debian's packages of a project that has no environment of its own.
void add_debian_packages(const Project& project, const Python& python, std::vector<std::string> packages,
                         Recognition& site) {
  if (python.own) return;
  for (std::string& package : required_packages(project)) packages.push_back(std::move(package));
  add_packages(site, project, std::move(packages));
}

// What is quoted in the value of a setting, as one path: BASE_DIR / "public" / "static"
// and os.path.join(BASE_DIR, 'public/static') both give public/static.
std::string path_in(const std::string& value) {
  static const std::regex kQuoted(R"re(["']([^"']*)["'])re");
  std::string path;
  for (std::sregex_iterator each(value.begin(), value.end(), kQuoted), end; each != end; ++each) {
    if (!path.empty()) path += '/';
    path += (*each)[1].str();
  }
  return path;
}

// ---- Django

struct Django {
  std::string package;   // "shop"
  std::string settings;  // the text
  std::string file;      // "shop/settings.py"
};

// Of settings/dev.py those that it goes on from: `from .base import *`.
std::string settings_behind(const Project& project, const std::string& settings, const std::string& file) {
  std::string path = find_in(settings, R"(^from\s+(\.?\w[\w.]*)\s+import\s+\*)");
  if (path.empty()) return "";
  const bool beside = path.starts_with('.');
  if (beside) path.erase(0, 1);
  std::ranges::replace(path, '.', '/');
  path += ".py";
  if (beside) path.insert(0, file.substr(0, file.rfind('/') + 1));
  return path == file ? "" : project.text(path);
}

std::optional<Django> find_django(const Project& project) {
  const std::string module =
      find_in(project.text("manage.py"), R"re(DJANGO_SETTINGS_MODULE["'],\s*["']([A-Za-z0-9_.]+)["'])re");
  if (module.empty()) return std::nullopt;
  Django django{.package = module.substr(0, module.find('.')), .settings = "", .file = ""};
  std::string path = module;
  std::ranges::replace(path, '.', '/');
  for (const char* end : {".py", "/__init__.py", "/base.py"}) {
    if (!project.has_file(path + end)) continue;
    if (django.file.empty()) django.file = path + end;
    django.settings += project.text(path + end) + "\n";
  }
  django.settings += settings_behind(project, django.settings, django.file);
  return django;
}

std::string setting(const Django& django, const std::string& name) {
  return find_in(django.settings, "^" + name + R"(\s*=\s*(.*))");
}

bool is_debug(const Django& django) { return setting(django, "DEBUG").starts_with("True"); }

std::string wsgi_module(const Django& django) {
  std::string module = path_in(setting(django, "WSGI_APPLICATION"));
  if (module.ends_with(".application")) module.resize(module.rfind('.'));
  return module.empty() ? django.package + ".wsgi" : module;
}

// The folder that holds STATIC_URL's folder, so that the URL is the path below it.
std::string files_folder(const Django& django) {
  const std::string root = path_in(setting(django, "STATIC_ROOT"));
  std::string url = path_in(setting(django, "STATIC_URL"));
  url.erase(0, url.find_first_not_of('/'));
  while (url.ends_with('/')) url.pop_back();
  if (url.empty() || root.starts_with('/') || !root.ends_with("/" + url)) return "";
  return root.substr(0, root.size() - url.size() - 1);
}

void add_django_run(const Project& project, const Django& django, const Python& python, Recognition& site) {
  const bool collects = !setting(django, "STATIC_ROOT").empty();
  const std::string server = gunicorn(python, wsgi_module(django));
  const std::string own = python.command + " manage.py runserver --noreload 127.0.0.1:$PORT";
  if (is_debug(django) && !collects) {
    site.keys.push_back(
        {"app", "run", toml_text(own),
         fmt::format("{} has DEBUG = True and no STATIC_ROOT: Django's own development server, which "
                     "also serves the style sheets of the admin. For the public: DEBUG = False, "
                     "STATIC_ROOT = BASE_DIR / \"public/static\", and here run = {}",
                     django.file, toml_text(server))});
    site.next.push_back(
        fmt::format("before the public sees it: DEBUG, ALLOWED_HOSTS, SECRET_KEY and STATIC_ROOT in {}; "
                    "then `terrace init` anew, without site.toml",
                    django.file));
  } else if (python.gunicorn) {
    site.keys.push_back({"app", "run", toml_text(server), ""});
  } else {
    site.keys.push_back(
        {"app", "run", toml_text(own), "Gunicorn is not installed: Django's own development server."});
    site.next.push_back(gunicorn_advice(python, server));
  }
  if (!is_debug(django) && setting(django, "ALLOWED_HOSTS").starts_with("[]"))
    site.next.push_back(
        fmt::format("ALLOWED_HOSTS in {} is empty: name your domain and 127.0.0.1 there", django.file));
  (void)project;
}

void add_django_build(const Project& project, const Django& django, const Python& python, Recognition& site) {
  std::string build = environment_build(project, python, site);
  if (!setting(django, "STATIC_ROOT").empty()) {
    if (!build.empty()) build += " && ";
    build += python.command + " manage.py collectstatic --noinput";
  }
  add_build(build, python, site);
  site.keys.push_back({"app", "migrate", toml_text(python.command + " manage.py migrate --noinput"), ""});
}

void add_django_health(const Project& project, Recognition& site) {
  std::vector<std::string> urls;
  for (const std::string& file : project.files("urls.py")) urls.push_back(project.text(file));
  std::string health = find_health_path(urls);
  const auto contains = [&](const char* text) {
    return std::ranges::any_of(urls, [&](const std::string& url) { return !find_in(url, text).empty(); });
  };
  if (health.empty() && !contains(R"re(^\s*(?:re_)?path\(r?["']\^?\$?["'])re") &&
      contains("^\\s*path\\(.*admin\\.site\\.urls"))
    health = "/admin/login/";
  if (!health.empty())
    site.keys.push_back(
        {"app", "health", toml_text(health), "A page that answers while the application is well."});
}

// Django finds its database by what settings.py says; a file of SQLite is linked there.
void add_django_database(const Django& django, Recognition& site) {
  const std::string name = find_in(django.settings, R"re(["']NAME["']\s*:\s*(.*sqlite.*|.*\.db["'].*))re");
  const bool reads_variable = django.settings.find("DATABASE_URL") != std::string::npos ||
                              django.settings.find("DB_PATH") != std::string::npos;
  std::string path = path_in(name);
  if (!reads_variable && !path.empty() && !path.starts_with('/') &&
      path.find("environ") == std::string::npos) {
    site.keys.push_back(
        {"db", "link", toml_text(path),
         fmt::format("{} names this file: it leads to the database that Terrace keeps and backs up.",
                     django.file)});
  } else if (!reads_variable && path.empty()) {
    site.keys.push_back(
        {"db", "engine", toml_text("none"), fmt::format("{} names a database of its own.", django.file)});
  }
}

// ---- Flask

struct Flask {
  std::string file;         // "app.py"
  std::string application;  // for a WSGI server: "app:app", "app:create_app()"
};

std::string module_of(std::string file) {
  if (file.ends_with("/__init__.py")) file.resize(file.size() - 12);
  if (file.ends_with(".py")) file.resize(file.size() - 3);
  std::ranges::replace(file, '/', '.');
  return file;
}

std::optional<Flask> flask_in(const Project& project, const std::string& file) {
  const std::string text = project.text(file);
  const bool flask = text.find("Flask") != std::string::npos || text.find("create_app") != std::string::npos;
  if (!flask) return std::nullopt;
  std::string object = find_in(text, R"(^(\w+)\s*(?::\s*Flask\s*)?=\s*(?:\w+\.)?(?:Flask|create_app)\()");
  if (object.empty() && !find_in(text, R"(^from\s+[\w.]+\s+import\s+.*\bapp\b)").empty()) object = "app";
  if (object.empty() && !find_in(text, R"(^def\s+create_app\s*\()").empty()) object = "create_app()";
  if (object.empty()) return std::nullopt;
  return Flask{.file = file, .application = module_of(file) + ":" + object};
}

std::optional<Flask> find_flask(const Project& project) {
  for (const char* name : {"wsgi.py", "app.py", "application.py", "main.py", "server.py"}) {
    if (const auto flask = flask_in(project, name)) return flask;
  }
  for (const std::string& file : project.files(".py")) {
    if (file.ends_with("/__init__.py") || file.find('/') == std::string::npos) {
      if (const auto flask = flask_in(project, file)) return flask;
    }
  }
  return std::nullopt;
}

std::vector<std::string> flask_packages(const std::vector<std::string>& sources) {
  std::vector<std::string> packages = {"python3-flask", "gunicorn"};
  for (const char* module : {"flask_sqlalchemy", "flask_migrate", "sqlalchemy"}) {
    const std::string import = std::string(R"(^\s*(?:from|import)\s+)") + module;
    const bool used =
        std::ranges::any_of(sources, [&](const std::string& text) { return !find_in(text, import).empty(); });
    std::string package = std::string("python3-") + module;
    std::ranges::replace(package, '_', '-');
    if (used) packages.push_back(package);
  }
  return packages;
}

void add_flask_run(const Flask& flask, const Python& python, Recognition& site) {
  if (python.gunicorn) {
    const bool call = flask.application.ends_with(")");
    site.keys.push_back(
        {"app", "run", toml_text(gunicorn(python, call ? "'" + flask.application + "'" : flask.application)),
         ""});
    return;
  }
  site.keys.push_back(
      {"app", "run",
       toml_text(fmt::format("{} -m flask --app '{}' run --port $PORT", python.command, flask.application)),
       "Gunicorn is not installed: Flask's own development server."});
  site.next.push_back(gunicorn_advice(python, gunicorn(python, flask.application)));
}

void add_flask_database(const Project& project, const std::vector<std::string>& sources, const Flask& flask,
                        const Python& python, Recognition& site) {
  const auto uses = [&](const char* text) {
    return std::ranges::any_of(
        sources, [&](const std::string& source) { return source.find(text) != std::string::npos; });
  };
  if (project.has_file("migrations/env.py") && uses("flask_migrate"))
    site.keys.push_back(
        {"app", "migrate",
         toml_text(fmt::format("{} -m flask --app '{}' db upgrade", python.command, flask.application)), ""});
  else if (project.has_file("alembic.ini"))
    site.keys.push_back({"app", "migrate", toml_text(python.command + " -m alembic upgrade head"), ""});
  else if (project.has_file("migrate.py"))
    site.keys.push_back({"app", "migrate", toml_text(python.command + " migrate.py"), ""});
  if (uses("sqlalchemy") || uses("SQLAlchemy"))
    site.keys.push_back(
        {"app", "database_url", toml_text("sqlalchemy"), "DATABASE_URL as SQLAlchemy reads it."});
  if (uses("instance_path") || uses("instance_relative_config") || project.has_folder("instance"))
    site.keys.push_back({"app", "writable", toml_list({"instance"}), "Flask's folder for files of its own."});
}

void add_flask_health(const std::vector<std::string>& sources, Recognition& site) {
  std::string health = find_health_path(sources);
  std::string first;
  for (const std::string& source : sources) {
    if (!find_in(source, R"re(\.(?:route|get)\(\s*["']/["'])re").empty() && health.empty()) return;
    if (first.empty()) first = find_in(source, R"re(\.(?:route|get)\(\s*["'](/[^"'<]*)["'])re");
  }
  if (health.empty()) health = first;
  if (!health.empty())
    site.keys.push_back(
        {"app", "health", toml_text(health), "A page that answers while the application is well."});
}

}  // namespace

std::optional<Recognition> recognise_django(const Project& project) {
  const std::optional<Django> django = find_django(project);
  if (!django) return std::nullopt;
  Recognition site;
  site.found = django->file.empty() ? "manage.py" : "manage.py and " + django->file;
  const Python python = python_of(project, "django");
  add_debian_packages(project, python, {"python3-django", "gunicorn", "python3-dj-database-url"}, site);
  add_django_build(project, *django, python, site);
  add_django_run(project, *django, python, site);
  add_django_health(project, site);
  if (const std::string media = path_in(setting(*django, "MEDIA_ROOT"));
      !media.empty() && !media.starts_with('/'))
    site.keys.push_back({"app", "writable", toml_list({media}), "MEDIA_ROOT: what visitors upload."});
  if (const std::string files = files_folder(*django); !files.empty()) {
    site.keys.push_back({"web", "files", toml_text(files), "STATIC_ROOT: served by the web server."});
    site.folders.push_back(files);
    site.next.push_back("collect the static files of this folder: " + python.command +
                        " manage.py collectstatic");
  }
  add_django_database(*django, site);
  return site;
}

std::optional<Recognition> recognise_flask(const Project& project) {
  const std::optional<Flask> flask = find_flask(project);
  if (!flask) return std::nullopt;
  Recognition site;
  site.found = flask->file;
  const Python python = python_of(project, "flask");
  std::vector<std::string> sources;
  for (const std::string& file : project.files(".py")) sources.push_back(project.text(file));
  add_debian_packages(project, python, flask_packages(sources), site);
  add_build(environment_build(project, python, site), python, site);
  add_flask_run(*flask, python, site);
  add_flask_database(project, sources, *flask, python, site);
  add_flask_health(sources, site);
  add_public_folder(site, project, "Served by the web server; the rest goes to the application.");
  return site;
}

}  // namespace terrace::program

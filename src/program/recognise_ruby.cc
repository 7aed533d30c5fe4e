// Rails.

#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <sstream>

#include "program/recognition.h"

namespace terrace::program {
namespace {

std::vector<std::string> gems_of(const std::string& gemfile) {
  static const std::regex kGem(R"re(^\s*gem\s+["']([A-Za-z0-9_.-]+)["'])re");
  std::vector<std::string> gems;
  std::istringstream lines(gemfile);
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (line.size() < 400 && std::regex_search(line, match, kGem)) gems.push_back(match[1].str());
  }
  return gems;
}

// Debian's name of a gem's package.
std::vector<std::string> packages_of(const std::vector<std::string>& gems) {
  std::vector<std::string> packages = {"bundler", "ruby-rails", "puma"};
  for (std::string gem : gems) {
    std::ranges::replace(gem, '_', '-');
    if (gem != "rails" && gem != "puma") packages.push_back("ruby-" + gem);
  }
  return packages;
}

// A skeleton has no page of its own: only in development does Rails show its welcome.
bool has_pages(const Project& project) {
  return !find_in(project.text("config/routes.rb"),
                  R"(^\s*(root|get|post|resources?|match|mount|scope|namespace)\b)")
              .empty();
}

std::string environment(const std::vector<std::pair<std::string, std::string>>& variables) {
  std::string text = "{ ";
  for (const auto& [name, value] : variables) {
    if (text.size() > 2) text += ", ";
    text += name + " = " + toml_text(value);
  }
  return text + " }";
}

void add_environment(const Project& project, Recognition& site) {
  std::vector<std::pair<std::string, std::string>> variables = {{"RAILS_ENV", "production"},
                                                                {"RAILS_LOG_TO_STDOUT", "1"}};
  if (!has_pages(project)) {
    variables[0].second = "development";
    variables.emplace_back("DISABLE_SPRING", "1");
    site.keys.push_back(
        {"app", "env", environment(variables),
         "config/routes.rb has no page yet, and only in development does Rails show its welcome. "
         "With pages: RAILS_ENV = \"production\", and SECRET_KEY_BASE = "
         "\"${secret:SECRET_KEY_BASE}\" beside it."});
    site.next.push_back(
        "once config/routes.rb has pages: `terrace init` anew, without site.toml, for production");
    return;
  }
  variables.emplace_back("SECRET_KEY_BASE", "${secret:SECRET_KEY_BASE}");
  site.keys.push_back({"app", "env", environment(variables), "The secret is kept by `terrace secret`."});
  site.next.push_back("make its secret: openssl rand -hex 64 | terrace secret set SECRET_KEY_BASE");
}

void add_build(const Project& project, Recognition& site) {
  std::string build = "bundle check || { bundle config set --local path vendor/bundle && bundle install; }";
  if (has_pages(project) && project.has_file("app/assets/config/manifest.js"))
    build = "{ " + build + "; } && bin/rails assets:precompile";
  site.keys.push_back({"app", "build", toml_text(build),
                       "Once per `terrace deploy`: the gems that Debian does not have, into the release."});
  // db/schema.rb belongs to the project; a server only reads it.
  if (project.has_file("config/database.yml"))
    site.keys.push_back({"app", "migrate", toml_text("SCHEMA=/dev/null bin/rails db:migrate"),
                         "SCHEMA: db/schema.rb is the project's and is not written here."});
}

}  // namespace

std::optional<Recognition> recognise_rails(const Project& project) {
  const std::vector<std::string> gems = gems_of(project.text("Gemfile"));
  if (std::ranges::find(gems, "rails") == gems.end() || !project.has_file("config.ru")) return std::nullopt;
  Recognition site;
  site.found = "Gemfile with rails, and config.ru";
  add_packages(site, project, packages_of(gems));
  add_build(project, site);
  // config/puma.rb names one file, which several instances would fight for. Puma removes it when it ends.
  site.keys.push_back(
      {"app", "run", toml_text("bundle exec puma -b tcp://127.0.0.1:$PORT --pidfile tmp/$PORT.pid"), ""});
  if (const std::string health = find_health_path({project.text("config/routes.rb")}); !health.empty())
    site.keys.push_back(
        {"app", "health", toml_text(health), "A page that answers while the application is well."});
  add_environment(project, site);
  site.keys.push_back(
      {"app", "writable", toml_list({"tmp", "log", "storage"}), "What Rails itself writes to."});
  if (project.has_file("config/database.yml"))
    site.keys.push_back({"app", "database_url", toml_text("rails"),
                         "DATABASE_URL as Rails reads it; it comes before config/database.yml."});
  site.keys.push_back({"app", "start_timeout", toml_text("2m"), "Rails boots slowly on a small server."});
  add_public_folder(site, project, "Served by the web server; the rest goes to the application.");
  if (!project.has_file("Gemfile.lock"))
    site.next.insert(site.next.begin(),
                     "Gemfile.lock is missing: `bundle install`, or `bundle lock --local` with "
                     "nothing but Debian's gems");
  return site;
}

}  // namespace terrace::program

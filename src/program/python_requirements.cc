#include "program/python_requirements.h"

#include <algorithm>
#include <cctype>
#include <compare>
#include <map>
#include <regex>
#include <sstream>
#include <string_view>

namespace terrace::program {
namespace {

constexpr const char* kDebianModules = "/usr/lib/python3/dist-packages";
constexpr size_t kLineMax = 400;
constexpr size_t kDigitsMax = 9;

using Version = std::vector<int>;                      // 2.2.10 is {2, 2, 10}
using Installed = std::map<std::string, std::string>;  // the version of each by its plain name

// PEP 503: Flask_SQLAlchemy, flask.sqlalchemy and flask-sqlalchemy are one.
std::string plain_name(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    const bool separates = c == '-' || c == '_' || c == '.';
    if (!separates) plain += static_cast<char>(::tolower(static_cast<unsigned char>(c)));
    if (separates && !plain.ends_with('-')) plain += '-';
  }
  return plain;
}

// "Flask-2.2.2.egg-info" and "Flask_SQLAlchemy-3.0.3.dist-info" are how Debian keeps them.
Installed installed_on(const Project& project) {
  static const std::regex kMetadata(R"(([^-]+)-([^-]+)(?:-.*)?\.(?:egg|dist)-info)");
  Installed installed;
  for (const std::string& name : project.system_names(kDebianModules)) {
    std::smatch match;
    if (std::regex_match(name, match, kMetadata)) installed[plain_name(match[1].str())] = match[2];
  }
  return installed;
}

// Its numbers, until the first part that is none: "4.2rc1" is {4}.
Version numbers(const std::string& text) {
  Version version;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, '.');) {
    if (part.empty() || part.size() > kDigitsMax || !std::ranges::all_of(part, ::isdigit)) break;
    version.push_back(std::stoi(part));
  }
  return version;
}

// 3.0 and 3 are the same.
std::strong_ordering compare(Version one, Version other) {
  const size_t size = std::max(one.size(), other.size());
  one.resize(size);
  other.resize(size);
  return one <=> other;
}

bool begins(const Version& have, const Version& wanted, size_t count) {
  return have.size() >= count &&
         std::equal(wanted.begin(), wanted.begin() + static_cast<ptrdiff_t>(count), have.begin());
}

// PEP 440: one clause such as ">=" "4.2".
bool allows(const std::string& comparison, const std::string& text, const Version& have) {
  const Version wanted = numbers(text);
  if (wanted.empty()) return false;
  const auto order = compare(have, wanted);
  const bool same = text.ends_with(".*") ? begins(have, wanted, wanted.size()) : order == 0;
  if (comparison == "!=") return !same;
  if (comparison == "==" || comparison == "===") return same;
  if (comparison == ">=") return order >= 0;
  if (comparison == "<=") return order <= 0;
  if (comparison == "<") return order < 0;
  if (comparison == ">") return order > 0;
  return wanted.size() > 1 && order >= 0 && begins(have, wanted, wanted.size() - 1);  // ~=
}

bool allows_all(const std::string& clauses, const Version& have) {
  static const std::regex kClause(R"((===|==|>=|<=|~=|!=|<|>)\s*([^\s,;#)]+))");
  for (std::sregex_iterator each(clauses.begin(), clauses.end(), kClause), end; each != end; ++each) {
    if (!allows((*each)[1], (*each)[2], have)) return false;
  }
  return true;
}

struct Requirement {
  std::string line;
  std::string name;     // plain; empty when only pip understands the line
  std::string clauses;  // ">=4.2,<5"
};

std::vector<Requirement> requirements_of(const Project& project) {
  static const std::regex kPlain(
      R"(([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*([(<>=!~][^;#@]*)?(?:[;#].*)?)");
  std::vector<Requirement> requirements;
  std::istringstream lines(project.text("requirements.txt"));
  for (std::string line; std::getline(lines, line);) {
    while (!line.empty() && ::isspace(static_cast<unsigned char>(line.back())) != 0) line.pop_back();
    line.erase(0, line.find_first_not_of(" \t"));
    if (line.empty() || line[0] == '#') continue;
    std::smatch match;
    Requirement requirement{.line = line.substr(0, kLineMax), .name = "", .clauses = ""};
    if (line.size() <= kLineMax && std::regex_match(line, match, kPlain)) {
      requirement.name = plain_name(match[1].str());
      requirement.clauses = match[2];
    }
    requirements.push_back(std::move(requirement));
  }
  return requirements;
}

}  // namespace

std::string unmet_requirement(const Project& project) {
  const std::vector<Requirement> requirements = requirements_of(project);
  const Installed installed = installed_on(project);
  for (const Requirement& requirement : requirements) {
    const auto found = installed.find(requirement.name);
    if (found == installed.end() || !allows_all(requirement.clauses, numbers(found->second)))
      return requirement.line;
  }
  return "";
}

std::vector<std::string> required_packages(const Project& project) {
  std::vector<std::string> packages;
  for (const Requirement& requirement : requirements_of(project)) {
    if (!requirement.name.empty()) packages.push_back("python3-" + requirement.name);
  }
  return packages;
}

}  // namespace terrace::program

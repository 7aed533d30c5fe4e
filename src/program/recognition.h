#pragma once

// What `terrace init` makes of a folder: which framework a project is written in, and
// the site file that serves it. It looks at files only and runs nothing of the
// project; each key that it decides says why, for the file and for the person.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace terrace::program {

enum class Framework : uint8_t { kDjango, kRails, kFlask, kNode, kCpp, kStatic };

struct FrameworkName {
  Framework framework;
  std::string_view name;   // as `--framework` takes it
  std::string_view title;  // for people: "Django"
  std::string_view signs;  // what it is recognised by
};
// In the order in which they are looked for.
std::span<const FrameworkName> all_frameworks();
std::optional<Framework> framework_named(std::string_view name);
const FrameworkName& about(Framework framework);

// A project's folder. Reads nothing above it, and of a file at most kTextBytesMax.
class Project {
 public:
  // `system` is the root of the machine on which the application will run: "/" but in
  // tests. `path` is the PATH that the application gets there.
  Project(std::string folder, std::string path, std::string system = "/");

  const std::string& folder() const { return folder_; }
  bool has_file(const std::string& path) const;
  bool has_folder(const std::string& path) const;
  std::string text(const std::string& path) const;  // empty when there is none
  // The names in a folder, without hidden ones, in order; "" is the project's own.
  std::vector<std::string> names(const std::string& path = "") const;
  // Files whose name ends so, in the project's folder and two folders deep, at most
  // kFilesMax; not those of installed packages.
  std::vector<std::string> files(std::string_view ending) const;

  // Whether the application would find this program.
  bool has_program(const std::string& name) const;
  // Whether this Debian package is installed here.
  bool has_package(const std::string& name) const;
  bool on_system(const std::string& path) const;
  // The names in a folder of the machine, in no order.
  std::vector<std::string> system_names(const std::string& path) const;

 private:
  std::string folder_;
  std::vector<std::string> path_;
  std::string system_;
};
constexpr size_t kTextBytesMax = 1 << 20;
constexpr size_t kFilesMax = 200;

// One line of the site file: `value` is TOML already.
struct DraftKey {
  std::string table;
  std::string name;
  std::string value;
  std::string why;
};

struct Recognition {
  Framework framework = Framework::kStatic;
  std::string found;  // "manage.py and shop/settings.py"
  std::vector<DraftKey> keys;
  std::vector<std::string> next;     // what the person does now, a sentence each
  std::vector<std::string> folders;  // below the project's, to be made: the site file names them
};

// Nothing when no framework is recognised, or `wanted` is none that fits.
std::optional<Recognition> recognise(const Project& project, std::optional<Framework> wanted = {});

// The site file with its comments.
std::string site_text(const Recognition& recognition);

// ---- for the recognisers (recognise_*.cc)

std::optional<Recognition> recognise_django(const Project& project);
std::optional<Recognition> recognise_flask(const Project& project);
std::optional<Recognition> recognise_rails(const Project& project);
std::optional<Recognition> recognise_node(const Project& project);
std::optional<Recognition> recognise_cpp(const Project& project);
std::optional<Recognition> recognise_static(const Project& project);

// Adds [app] packages: those of the candidates that this machine has, each once.
void add_packages(Recognition& recognition, const Project& project, std::vector<std::string> candidates);
// [web] files = "public" where the project has such a folder with something in it.
void add_public_folder(Recognition& recognition, const Project& project, const std::string& why);

std::string toml_text(std::string_view text);
std::string toml_list(const std::vector<std::string>& texts);

// The first match of a regular expression (ECMAScript) in a line of the text: its
// first group, or all of it without one; empty when there is none.
std::string find_in(const std::string& text, const std::string& expression);
// The path of a health check that the sources answer; empty when none is in them.
std::string find_health_path(const std::vector<std::string>& sources);

}  // namespace terrace::program

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "topology/load.h"

// Any text is a site or is told why not, and whatever it is, a secret that the
// environment, a file or a secret's key holds is in no output.

namespace {

using namespace terrace;
using namespace terrace::topology;

constexpr std::string_view kSecret = "Zq7#planted#w3cr3t";

LoadOptions world() {
  LoadOptions options;
  options.inputs.environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "MISSING") return std::nullopt;
    return std::string(kSecret);
  };
  options.inputs.file = [](const std::string& path) -> Result<std::string> {
    if (path.ends_with("missing")) return fail(Code::kNotFound, "open", "not found");
    return std::string(kSecret) + "\n";
  };
  options.inputs.secret = [](const std::string& name) -> Result<std::string> {
    if (name == "MISSING") return fail(Code::kNotFound, "secret");
    if (name == "LOCKED") return fail(Code::kUnavailable, "secret");
    return std::string(kSecret);
  };
  options.path_kind = [](const std::string& path) {
    if (path.ends_with("missing")) return PathKind::kMissing;
    return path.ends_with(".html") ? PathKind::kFile : PathKind::kFolder;
  };
  return options;
}

// The input alone, or behind a secret that is complete or open.
std::string planted(uint8_t how, std::string_view input) {
  const std::string secret(kSecret);
  switch (how % 5) {
    case 0:
      return "[db]\nurl = \"a://" + secret + "\"\n[app.env]\nTOKEN = \"" + secret + "\"\n" +
             std::string(input);
    case 1:
      return "[db]\nurl = \"" + secret + std::string(input);
    case 2:
      return "[app]\nenv = { TOKEN = \"" + secret + std::string(input);
    case 3:
      return "[app]\nrun = \"x\"\n[app.env]\nTOKEN = '''" + secret + std::string(input);
    default:
      return std::string(input);
  }
}

// What the worker is sent reads as the same site, but for what it is not to know.
void check_resolved(const Site& site) {
  LoadOptions options = world();
  options.resolve = without_secrets;
  const LoadedSite again = load_site_text(resolved_text(site), "/srv/shop/site.toml", options);
  ASSERT(again.site != nullptr);
  for (const std::string& line : difference(site, *again.site))
    ASSERT(line.starts_with("app: ") || line.starts_with("db: "));
}

void check(const std::string& output) { ASSERT(output.find(kSecret) == std::string::npos); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  // What the input itself says in a place that is no secret may be shown.
  if (input.find("planted") != std::string_view::npos) return 0;
  const LoadedSite loaded = load_site_text(planted(data[0], input), "/srv/shop/site.toml", world());
  ASSERT((loaded.site == nullptr) == (loaded.errors > 0));
  ASSERT(loaded.site != nullptr || loaded.text.find("error[E") != std::string::npos);
  check(loaded.text);
  check(loaded.json);
  if (!loaded.site) return 0;
  check(describe(*loaded.site));
  for (const std::string& line : difference(Site(), *loaded.site)) check(line);
  ASSERT(difference(*loaded.site, *loaded.site).empty());
  check_resolved(*loaded.site);
  return 0;
}

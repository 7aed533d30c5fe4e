#include <fmt/format.h>

#include <array>

#include "config/manual.h"
#include "config/schema.h"
#include "topology/codes.h"
#include "topology/fields.h"
#include "topology/load.h"

namespace terrace::topology {
namespace {

constexpr std::string_view kAbout = "The site file of Terrace: one web site, from one server up.";

constexpr std::string_view kDescription =
    "The site file is TOML. Every key has a default; unknown keys are errors. Strings may hold `${env:NAME}` "
    "and `${file:path}`, which stand for a variable of the environment and the content of a file, and those "
    "of `app.env` and `db.url` also `${secret:NAME}`, what `terrace secret set NAME` was given; `$${` stands "
    "for `${` itself. Durations are strings such as `\"500ms\"`, `\"10s\"`, `\"5m\"`, `\"1h\"`; sizes "
    "such as `\"512MB\"` or `\"1GiB\"`. Relative paths start at the folder of the site file.";

std::string code_table() {
  std::string out = "| code | meaning |\n| --- | --- |\n";
  for (const CodeMeaning& meaning : all_codes())
    out += fmt::format("| {} | {} |\n", meaning.code, meaning.about);
  return out;
}

std::string code_section() {
  std::string out;
  for (const CodeMeaning& meaning : all_codes())
    out += fmt::format(".TP\n.B {}\n{}\n", meaning.code, config::roff_text(meaning.about));
  return out;
}

}  // namespace

std::string site_schema() {
  Site site;
  return config::json_schema("site.toml", kAbout, site_tables(site));
}

std::string site_manual() {
  Site site;
  return fmt::format("## Reference\n\n{}\n\n{}## Errors and warnings\n\nThe codes stay what they are.\n\n{}",
                     kDescription, config::markdown_reference(site_tables(site)), code_table());
}

std::string site_manual_page() {
  Site site;
  return fmt::format(
      ".TH SITE.TOML 5 \"\" Terrace\n"
      ".SH NAME\nsite.toml \\- a web site for terrace(1)\n"
      ".SH DESCRIPTION\n{}\n"
      ".SH TABLES\n{}"
      ".SH ERRORS\n{}"
      ".SH SEE ALSO\n.BR terrace (1)\n",
      config::roff_text(kDescription), config::roff_reference(site_tables(site)), code_section());
}

}  // namespace terrace::topology

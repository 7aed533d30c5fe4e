#include <string_view>

#include "program/commands.h"
#include "program/completions.h"
#include "program/manual_page.h"
#include "program/output.h"
#include "topology/load.h"

namespace terrace::program {

int run_generate(int argc, char** argv) {
  const std::string_view what = argc == 3 ? argv[2] : "";
  const std::vector<CommandWords> commands = command_words();
  if (what == "terrace.1") {
    print(command_manual_page(commands));
  } else if (what == "site.toml.5") {
    print(
        manual_page_of_markdown({"site.toml", "5", "what a site is, for terrace"}, topology::site_manual()));
  } else if (what == "bash") {
    print(bash_completion(commands));
  } else if (what == "zsh") {
    print(zsh_completion(commands));
  } else if (what == "fish") {
    print(fish_completion(commands));
  } else {
    complain("generate terrace.1, site.toml.5, bash, zsh or fish");
    return kExitCannotRead;
  }
  return kExitFine;
}

}  // namespace terrace::program

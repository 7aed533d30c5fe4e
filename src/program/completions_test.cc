#include "program/completions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace terrace::program {
namespace {

using testing::HasSubstr;

std::vector<CommandWords> one_command() {
  return {{.name = "grow",
           .about = "Makes it larger, isn't it",
           .text = "More.",
           .options = {{.names = {"--file", "-f"}, .value = "FILE", .about = "Which: [one]"},
                       {.names = {"--fast"}, .value = "", .about = "At once"},
                       {.names = {"WHAT"}, .value = "", .about = "What"}}}};
}

TEST(Completions, of_bash_know_commands_and_options) {
  const std::string text = bash_completion(one_command());
  EXPECT_THAT(text, HasSubstr("compgen -W 'grow'"));
  EXPECT_THAT(text, HasSubstr("grow) words='--file -f --fast' ;;"));
}

TEST(Completions, of_zsh_escape_what_zsh_reads) {
  const std::string text = zsh_completion(one_command());
  EXPECT_THAT(text, HasSubstr(R"('grow:Makes it larger, isn'\''t it')"));
  EXPECT_THAT(text, HasSubstr(R"('--file[Which\: \[one\]]:FILE:_files')"));
  EXPECT_THAT(text, HasSubstr("'::WHAT:'"));
}

TEST(Completions, of_fish_know_which_option_takes_a_file) {
  const std::string text = fish_completion(one_command());
  EXPECT_THAT(text, HasSubstr("-l file -s f -r -F"));
  EXPECT_THAT(text, HasSubstr("'__fish_seen_subcommand_from grow' -l fast -d 'At once'"));
}

TEST(Completions, know_every_command) {
  const std::vector<CommandWords> commands = command_words();
  for (const std::string& name : command_names()) {
    EXPECT_THAT(bash_completion(commands), HasSubstr("    " + name + ") words="));
    EXPECT_THAT(zsh_completion(commands), HasSubstr("    " + name + ")\n"));
    EXPECT_THAT(fish_completion(commands), HasSubstr(" -a " + name + " "));
  }
}

}  // namespace
}  // namespace terrace::program

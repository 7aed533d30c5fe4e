#include "program/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <initializer_list>

namespace terrace::program {
namespace {

using ::testing::HasSubstr;

CommandLine parsed(std::initializer_list<const char*> words) {
  const auto result = parse_command_line(std::vector<const char*>(words));
  const auto* line = std::get_if<CommandLine>(&result);
  EXPECT_NE(line, nullptr) << std::get<Leave>(result).error;
  return line != nullptr ? *line : CommandLine{};
}

Leave left(std::initializer_list<const char*> words) {
  const auto result = parse_command_line(std::vector<const char*>(words));
  const auto* leave = std::get_if<Leave>(&result);
  EXPECT_NE(leave, nullptr);
  return leave != nullptr ? *leave : Leave{};
}

TEST(CommandLine, EachCommandHasItsOptions) {
  EXPECT_EQ(parsed({"up", "--file", "a.toml"}).file, "a.toml");
  EXPECT_EQ(parsed({"check", "a.toml", "--json"}).file, "a.toml");
  EXPECT_TRUE(parsed({"status", "--watch", "--json"}).watch);
  const CommandLine logs =
      parsed({"logs", "-f", "--instance", "app-1", "--lines", "5", "--access", "--app", "--terrace"});
  EXPECT_EQ(logs.command, Command::kLogs);
  EXPECT_EQ(logs.instance, "app-1");
  EXPECT_EQ(logs.lines, 5);
  EXPECT_TRUE(logs.follow && logs.log_access && logs.log_app && logs.log_terrace);
  EXPECT_EQ(parsed({"restart", "app"}).what, "app");
  EXPECT_TRUE(parsed({"schema", "--manual"}).manual);
  EXPECT_EQ(parsed({"version"}).command, Command::kVersion);
  EXPECT_EQ(parsed({"reload"}).command, Command::kReload);
}

TEST(CommandLine, EveryCommandHasHelpWithExamples) {
  for (const std::string& name : command_names()) {
    const Leave help = left({name.c_str(), "--help"});
    EXPECT_EQ(help.status, kExitFine);
    EXPECT_THAT(help.output, HasSubstr("Examples:\n  terrace " + name)) << name;
    EXPECT_EQ(left({"help", name.c_str()}).output, help.output);
  }
}

TEST(CommandLine, TheHelpListsEveryCommand) {
  const Leave help = left({"--help"});
  for (const std::string& name : command_names())
    EXPECT_THAT(help.output, HasSubstr("\n  " + name + " ")) << name;
  EXPECT_EQ(left({"help"}).output, help.output);
}

// docs/commands.md has one heading "## terrace NAME" per command.
TEST(CommandLine, TheManualDescribesExactlyTheseCommands) {
  std::ifstream file(TERRACE_SOURCE_DIR "/docs/commands.md");
  std::vector<std::string> described;
  constexpr std::string_view kHeading = "## terrace ";
  for (std::string text; std::getline(file, text);) {
    if (text.starts_with(kHeading)) described.push_back(text.substr(kHeading.size()));
  }
  EXPECT_EQ(described, command_names());
}

TEST(CommandLine, WithoutACommandTheHelpIsShownAndTheStatusIsTwo) {
  const Leave bare = left({});
  EXPECT_EQ(bare.status, kExitCannotRead);
  EXPECT_THAT(bare.output, HasSubstr("Commands:"));
}

TEST(CommandLine, AMistypedCommandIsGuessed) {
  const Leave wrong = left({"staus"});
  EXPECT_EQ(wrong.status, kExitCannotRead);
  EXPECT_THAT(wrong.error, HasSubstr("unknown command `staus`; did you mean `status`?"));
  EXPECT_THAT(left({"xyzzy"}).error, ::testing::Not(HasSubstr("did you mean")));
}

TEST(CommandLine, CommandsOfLaterStepsAreKnown) {
  EXPECT_THAT(left({"firewall"}).error, HasSubstr("`firewall` is not in this version: comes with step 2"));
  EXPECT_THAT(left({"drill", "--fast"}).error, HasSubstr("comes with step 3"));
  EXPECT_THAT(left({"dril"}).error, HasSubstr("did you mean `drill`?"));
}

TEST(CommandLine, WrongOptionsSayWhichAndWhereHelpIs) {
  const Leave unknown = left({"status", "--wach"});
  EXPECT_EQ(unknown.status, kExitCannotRead);
  EXPECT_THAT(unknown.error, HasSubstr("it does not know `--wach`; did you mean `--watch`?"));
  EXPECT_THAT(unknown.error, HasSubstr("terrace status --help"));
  EXPECT_EQ(left({"restart"}).status, kExitCannotRead);
  EXPECT_EQ(left({"restart", "database"}).status, kExitCannotRead);
  EXPECT_EQ(left({"logs", "--lines", "many"}).status, kExitCannotRead);
  EXPECT_EQ(left({"logs", "--lines", "-1"}).status, kExitCannotRead);
  EXPECT_THAT(left({"--file", "a.toml", "up"}).error, HasSubstr("options follow the command"));
  EXPECT_EQ(left({"check", "a.toml", "--file", "b.toml"}).status, kExitCannotRead);
}

TEST(CommandLine, SecretsAreNamedAndNeverRepeated) {
  const CommandLine line = parsed({"secret", "--file", "a.toml", "set", "DB_PASSWORD"});
  EXPECT_EQ(line.command, Command::kSecret);
  EXPECT_EQ(line.what + " " + line.name, "set DB_PASSWORD");
  EXPECT_EQ(parsed({"secret", "list", "--json"}).what, "list");
  EXPECT_THAT(left({"secret", "set", "A", "hunter2"}).error, HasSubstr("read from standard input"));
  const std::vector<std::vector<const char*>> wrong{{"secret", "set", "A", "hunter2"},
                                                    {"secret", "set", "A=hunter2"},
                                                    {"secret", "set", "A", "--value=hunter2"},
                                                    {"secret", "set", "A", "--hunter2"},
                                                    {"secret", "set", "hunter2!"},
                                                    {"secret", "hunter2"},
                                                    {"secret", "list", "hunter2"},
                                                    {"secret", "set"},
                                                    {"secret"}};
  for (const std::vector<const char*>& words : wrong) {
    const auto result = parse_command_line(words);
    const auto* leave = std::get_if<Leave>(&result);
    ASSERT_NE(leave, nullptr) << words.back();
    EXPECT_EQ(leave->status, kExitCannotRead) << words.back();
    EXPECT_THAT(leave->error + leave->output, testing::Not(HasSubstr("hunter2")));
  }
}

TEST(CommandLine, TheVersionIsPrinted) {
  EXPECT_THAT(left({"--version"}).output, ::testing::MatchesRegex("terrace [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

}  // namespace
}  // namespace terrace::program

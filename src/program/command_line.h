#pragma once

// What a person typed, as values. docs/commands.md describes every command; a
// test keeps it and the help texts equal.
//
// Exit status of every command: 0 fine, 1 findings or failure, 2 cannot read (the
// command line, the site file, the socket).

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace terrace::program {

inline constexpr int kExitFine = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitCannotRead = 2;

enum class Command : uint8_t {
  kInit,
  kUp,
  kCheck,
  kStatus,
  kLogs,
  kReload,
  kRestart,
  kUpgrade,
  kDeploy,
  kRollback,
  kReleases,
  kSecret,
  kBackup,
  kRestore,
  kDns,
  kLab,
  kApply,
  kHistory,
  kToken,
  kJoin,
  kRevoke,
  kCertificates,
  kDrain,
  kUndrain,
  kSchema,
  kVersion
};

struct CommandLine {
  Command command = Command::kVersion;
  std::string file;   // as typed; empty: the usual places (site_path.h)
  bool json = false;  // for a program that reads the output
  bool watch = false;
  bool detach = false;
  bool follow = false;
  bool manual = false;
  bool log_access = false;
  bool log_app = false;
  bool log_terrace = false;
  int lines = -1;        // -1: not said
  std::string instance;  // "app-1"; empty: all
  int release = 0;       // 0: all
  std::string since;     // as typed
  std::string until;
  std::string level;  // "warning"; empty: all
  std::string grep;
  std::string what;    // of restart: "app"; of deploy: the folder or "-"; of secret: "set", "list", "remove"
  std::string name;    // of a secret
  std::string folder;  // of init; empty: the current one
  std::string framework;  // of init; empty: whatever it is
  bool list = false;
  bool replace = false;
  bool check = false;
  bool back = false;                // of apply
  std::string resolver;             // of dns: a name server; empty: the system's
  std::string server;               // a name in [servers]; empty: this one, or all
  std::string token;                // of join
  std::string address;              // of join; empty: the one in the token
  std::string life;                 // of token: "1h"; empty: an hour
  std::string backup;               // of restore: a name; empty: the newest
  std::vector<std::string> words;   // of lab, behind the action
  std::vector<std::string> remote;  // of `lab exec`: what stands behind `--`
  std::string lab;                  // its name; empty: the only one
  bool one_way = false;
  bool all = false;
  bool keep = false;
  bool bare = false;
};

// The command line asked for a help text, or is wrong: print it and leave.
struct Leave {
  int status = kExitFine;
  std::string output;  // to standard output
  std::string error;   // to standard error
};

// `arguments` are those of main() without the program's name.
std::variant<CommandLine, Leave> parse_command_line(std::span<const char* const> arguments);

// What a command takes, as the help says it: for the manual page and the shells'
// completions, which come from here so that they cannot fall behind.
struct OptionWords {
  std::vector<std::string> names;  // "--follow", "-f"; a bare word for an argument
  std::string value;               // "FILE"; empty: the option is a switch
  std::string about;
};
struct CommandWords {
  std::string name;
  std::string about;  // one line
  std::string text;   // more of it, with examples, as the help shows it
  std::vector<OptionWords> options;
};
std::vector<CommandWords> command_words();

// The commands that parse_command_line knows, in the order of the help.
std::vector<std::string> command_names();

}  // namespace terrace::program

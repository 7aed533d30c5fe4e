#include "program/lab_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/file.h"
#include "lab/ask.h"
#include "lab/enter.h"
#include "program/commands.h"
#include "program/json_value.h"
#include "program/output.h"
#include "program/table.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;
using lab::KeeperAnswer;
using lab::LabCommand;
using lab::LabFolders;
using lab::Request;

constexpr size_t kConsoleBytesMax = 64 << 20;
constexpr std::chrono::milliseconds kFollowPause{200};
constexpr size_t kLinesShown = 20;
// A keeper that does not answer for so long hangs.
constexpr std::chrono::seconds kDownPatience{20};

// Prints what went wrong, or with --json the answer as it came.
int report(const CommandLine& line, const LabFolders& folders, const Result<KeeperAnswer>& answer) {
  if (!answer) {
    const bool absent = answer.error().code == Code::kNotFound;
    return complain(lab::describe_keeper_error(answer.error(), folders), line.json,
                    absent ? kExitFailure : kExitCannotRead);
  }
  if (line.json) print(answer->line + "\n");
  if (answer->ok) return kExitFine;
  if (!line.json) complain(answer->error);
  return kExitFailure;
}

int ask(const CommandLine& line, const Request& request) {
  int status = kExitFine;
  const std::optional<LabFolders> folders = chosen_lab(line, status);
  if (!folders) return status;
  return report(line, *folders, lab::ask_keeper(*folders, request));
}

// ---- status

Colour colour_of(const std::string& state) {
  if (state == "up") return Colour::kGreen;
  if (state == "failed" || state == "off") return Colour::kRed;
  return Colour::kYellow;
}

std::string cuts_of(const Json& json, const std::string& machine) {
  std::vector<std::string> lost;
  for (const Json& cut : value_of<Json>(json, "cuts")) {
    if (value_of<std::string>(cut, "from") == machine) lost.push_back(value_of<std::string>(cut, "to"));
  }
  return lost.empty() ? "" : fmt::format("nothing gets to {}", fmt::join(lost, ", "));
}

std::string status_text(const Json& json, bool colours) {
  std::string text = fmt::format("lab {}: site {} of {}\n", value_of<std::string>(json, "lab"),
                                 value_of<std::string>(json, "site"), value_of<std::string>(json, "path"));
  if (const std::string url = value_of<std::string>(json, "url"); !url.empty())
    text += fmt::format("{}, forwarded to the site\n", url);
  text += "\n";
  Table table({"machine", "kind", "address", "state", ""});
  for (const Json& machine : value_of<Json>(json, "machines")) {
    const std::string name = value_of<std::string>(machine, "name");
    const std::string state = value_of<std::string>(machine, "state");
    std::string remark = cuts_of(json, name);
    if (value_of<std::string>(machine, "link") == "down") remark = "its cable is out";
    if (const std::string error = value_of<std::string>(machine, "error"); !error.empty()) remark = error;
    table.row({name, value_of<std::string>(machine, "kind"), value_of<std::string>(machine, "address"),
               Table::Cell(state, colour_of(state)), printable(remark)});
  }
  return text + table.text(colours);
}

int run_lab_status(const CommandLine& line) {
  int status = kExitFine;
  const std::optional<LabFolders> folders = chosen_lab(line, status);
  if (!folders) return status;
  const Result<KeeperAnswer> answer = lab::ask_keeper(*folders, {.command = LabCommand::kStatus});
  if (!answer || line.json || !answer->ok) return report(line, *folders, answer);
  print(status_text(Json::parse(answer->line, nullptr, false), wants_colours()));
  return kExitFine;
}

// ---- exec

volatile pid_t running = 0;

int run_exec(const CommandLine& line) {
  int status = kExitFine;
  const std::optional<LabFolders> folders = chosen_lab(line, status);
  if (!folders) return status;
  const auto machine = lab::enter(*folders, line.words[0]);
  if (!machine) return complain(machine.error(), line.json, kExitFailure);
  // Ctrl-C at a terminal reaches the command itself.
  for (const int signal : {SIGINT, SIGQUIT}) ::signal(signal, SIG_IGN);
  const Result<pid_t> pid = lab::start_in_machine(machine->get(), {.words = line.remote});
  if (!pid) return complain(describe(pid.error()), line.json, kExitFailure);
  running = *pid;
  for (const int signal : {SIGTERM, SIGHUP}) ::signal(signal, [](int which) { ::kill(running, which); });
  int ended = 0;
  while (::waitpid(*pid, &ended, 0) < 0 && errno == EINTR) continue;
  return lab::exit_status(ended);
}

// ---- logs

// One file of which new lines are shown.
class Tail {
 public:
  Tail(std::string path, std::string word) : path_(std::move(path)), word_(std::move(word)) {}

  // The last lines at first, then what is new.
  std::string take() {
    const Result<std::string> text = read_file(path_, kConsoleBytesMax);
    if (!text) return "";
    if (text->size() < seen_) seen_ = 0;  // it was cut to nothing
    std::string_view fresh = std::string_view(*text).substr(seen_);
    const size_t end = fresh.rfind('\n');
    if (end == std::string_view::npos) return "";
    fresh = fresh.substr(0, end + 1);
    seen_ += fresh.size();
    if (first_) fresh = last_lines(fresh);
    first_ = false;
    return with_word(fresh);
  }

 private:
  static std::string_view last_lines(std::string_view text) {
    size_t lines = 0;
    size_t at = text.size();
    while (at > 0 && lines <= kLinesShown) {
      if (text[--at] == '\n') ++lines;
    }
    return at == 0 ? text : text.substr(at + 1);
  }
  std::string with_word(std::string_view text) const {
    std::string shown;
    while (!text.empty()) {
      const size_t end = text.find('\n');
      shown += fmt::format("{} | {}\n", word_, printable(text.substr(0, end)));
      text.remove_prefix(end + 1);
    }
    return shown;
  }

  std::string path_;
  std::string word_;
  size_t seen_ = 0;
  bool first_ = true;
};

int run_lab_logs(const CommandLine& line) {
  int status = kExitFine;
  const std::optional<LabFolders> folders = chosen_lab(line, status);
  if (!folders) return status;
  const Result<KeeperAnswer> answer = lab::ask_keeper(*folders, {.command = LabCommand::kStatus});
  if (!answer || !answer->ok) return report(line, *folders, answer);
  std::vector<Tail> tails;
  if (line.words.empty()) tails.emplace_back(folders->events(), "lab");
  for (const Json& machine : value_of<Json>(Json::parse(answer->line, nullptr, false), "machines")) {
    const std::string name = value_of<std::string>(machine, "name");
    if (line.words.empty() || line.words[0] == name) tails.emplace_back(folders->console(name), name);
  }
  if (tails.empty())
    return complain(fmt::format("this lab has no machine `{}`", line.words[0]), line.json, kExitFailure);
  for (;;) {
    for (Tail& tail : tails) print(tail.take());
    if (!line.follow || !lab::is_running(*folders)) return kExitFine;
    std::this_thread::sleep_for(kFollowPause);
  }
}

// ---- down

int remove_rest(const CommandLine& line, const LabFolders& folders) {
  const Result<void> removed = lab::remove_lab(folders);
  if (!removed) return complain(describe(removed.error()), line.json, kExitFailure);
  print(line.json ? R"({"ok":true})"
                    "\n"
                  : fmt::format("lab {}: what it left is removed\n", folders.name));
  return kExitFine;
}

int take_down(const CommandLine& line, const LabFolders& folders) {
  if (!lab::is_running(folders)) return remove_rest(line, folders);
  const Result<KeeperAnswer> answer = lab::ask_keeper(folders, {.command = LabCommand::kDown}, kDownPatience);
  if (!answer && !lab::is_running(folders)) return remove_rest(line, folders);
  // It hangs, or was killed and is about to be gone.
  if (!answer && answer.error().code != Code::kNotFound) {
    const Result<void> ended = lab::end_by_force(folders);
    return ended ? remove_rest(line, folders) : complain(describe(ended.error()), line.json, kExitFailure);
  }
  const int status = report(line, folders, answer);
  if (status == kExitFine && !line.json) print(fmt::format("lab {}: gone\n", folders.name));
  return status;
}

int run_down(const CommandLine& line) {
  int status = kExitFine;
  if (line.all) {
    for (const std::string& name : lab::lab_names())
      status = std::max(status, take_down(line, lab::lab_folders(name)));
    return status;
  }
  const std::optional<LabFolders> folders = chosen_lab(line, status);
  return folders ? take_down(line, *folders) : status;
}

// ---- the rest

struct Action {
  const char* name;
  LabCommand command;
};
constexpr Action kOfMachines[] = {{.name = "stop", .command = LabCommand::kStop},
                                  {.name = "start", .command = LabCommand::kStart},
                                  {.name = "kill", .command = LabCommand::kKill},
                                  {.name = "freeze", .command = LabCommand::kFreeze},
                                  {.name = "thaw", .command = LabCommand::kThaw}};

// The command line has been checked: there are as many words as the action needs.
int run_action(const CommandLine& line) {
  const std::vector<std::string>& words = line.words;
  if (line.what == "cut")
    return ask(
        line, {.command = LabCommand::kCut, .machine = words[0], .other = words[1], .one_way = line.one_way});
  if (line.what == "heal" && words.empty()) return ask(line, {.command = LabCommand::kHeal});
  if (line.what == "heal")
    return ask(line, {.command = LabCommand::kHeal, .machine = words[0], .other = words[1]});
  if (line.what == "link")
    return ask(line, {.command = LabCommand::kLink, .machine = words[0], .up = words[1] == "up"});
  for (const Action& action : kOfMachines) {
    if (line.what == action.name) return ask(line, {.command = action.command, .machine = words[0]});
  }
  return kExitCannotRead;
}

}  // namespace

std::optional<LabFolders> chosen_lab(const CommandLine& line, int& status) {
  if (!line.lab.empty()) return lab::lab_folders(line.lab);
  std::vector<std::string> names = lab::lab_names();
  if (line.what != "down")
    std::erase_if(names, [](const std::string& name) { return !lab::is_running(lab::lab_folders(name)); });
  if (names.size() == 1) return lab::lab_folders(names[0]);
  const std::string why =
      names.empty() ? "no lab runs: `terrace lab up FILE` starts one"
                    : fmt::format("several labs run: say which by --lab: {}", fmt::join(names, ", "));
  status = complain(why, line.json, kExitFailure);
  return std::nullopt;
}

int run_lab(const CommandLine& line) {
  if (::geteuid() != 0)
    return complain(
        "a lab needs root, which makes its namespaces: try with sudo; this machine's own network and "
        "settings stay as they are",
        line.json, kExitFailure);
  if (line.what == "up") return run_lab_up(line);
  if (line.what == "status") return run_lab_status(line);
  if (line.what == "exec") return run_exec(line);
  if (line.what == "logs") return run_lab_logs(line);
  if (line.what == "down") return run_down(line);
  return run_action(line);
}

}  // namespace terrace::program

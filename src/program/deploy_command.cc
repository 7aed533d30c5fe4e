// deploy and rollback, as the person at the terminal sees them.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "program/commands.h"
#include "program/control.h"
#include "program/control_client.h"
#include "program/folders.h"
#include "program/json_value.h"
#include "program/member_client.h"
#include "program/output.h"
#include "program/packages.h"
#include "program/release_source.h"
#include "program/site_path.h"
#include "program/status.h"
#include "program/table.h"
#include "program/upload.h"
#include "program/who_asks.h"
#include "topology/load.h"

namespace terrace::program {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLook{200};
constexpr std::chrono::seconds kReadyTimeout{60};
constexpr std::chrono::seconds kCancelTimeout{5};

volatile sig_atomic_t interrupts = 0;

// Once the release is uploaded, Ctrl-C is a question to the controller and no end of us.
void take_interrupts() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupts = interrupts + 1; };
  ::sigaction(SIGINT, &action, nullptr);
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// What the controller says while it works, phase by phase.
class Show {
 public:
  Show(bool shown, bool rollback) : shown_(shown), rollback_(rollback) {}

  void uploaded(uint64_t bytes, uint64_t entries) {
    if (!shown_) return;
    print(fmt::format("{:<9}{} entries, {}{:>{}}\n", "upload", entries,
                      bytes_words(static_cast<int64_t>(bytes)),
                      " in " + duration_words(seconds_since(began_)), 0));
    began_ = Clock::now();
  }
  void progress(const ControlProgress& said) {
    if (!shown_) return;
    if (said.step != step_) begin(said.step);
    if (!said.line.empty()) print(fmt::format("  | {}\n", printable(said.line)));
  }
  void ended() {
    if (shown_ && !step_.empty())
      print(fmt::format("{:<9}took {}\n", step_, duration_words(seconds_since(began_))));
    step_.clear();
  }
  const std::string& step() const { return step_; }

 private:
  void begin(const std::string& step) {
    ended();
    step_ = printable(step);
    began_ = Clock::now();
    print(fmt::format("{:<9}{}\n", step_, about(step)));
  }
  std::string about(const std::string& step) const {
    if (step == "upload") return "what tar says:";
    if (step == "prepare") return "links to what outlives releases";
    if (step == "build") return "as the application's user";
    if (step == "migrate") return "once, while the release before serves";
    if (step == "start" && rollback_) return "its instances start beside those that serve; no `migrate`";
    if (step == "start") return "its instances start beside those that serve";
    if (step == "bake") return "it serves, and is compared with the release before";
    if (step == "fetch") return "the servers take what was built";
    if (step == "back") return "every server goes back to the release before";
    return "";
  }

  bool shown_;
  bool rollback_;
  std::string step_;
  Clock::time_point began_ = Clock::now();
};

// One command that the controller works on for long.
class Order {
 public:
  Order(const CommandLine& line, std::string socket, bool rollback)
      : line_(line), socket_(std::move(socket)), show_(!line.json, rollback), rollback_(rollback) {}

  // Empty: it is under way. Else the exit status, and all is said.
  std::optional<int> ask();
  std::optional<int> upload(ReleaseSource source);
  int follow();

 private:
  int cannot(const Error& error) const;
  int end(const Json& answer);
  int say_failure(const Json& answer) const;
  void handle_interrupt();

  const CommandLine& line_;
  std::string socket_;
  Show show_;
  bool rollback_;
  std::optional<ControlQuestion> question_;
  int64_t release_ = 0;
  int interrupts_seen_ = 0;
  bool gave_up_ = false;
};

int Order::cannot(const Error& error) const {
  const bool absent = error.code == Code::kNotFound;
  return complain(describe_control_error(error, socket_), line_.json,
                  absent ? kExitFailure : kExitCannotRead);
}

std::optional<int> Order::ask() {
  const Json request = {{"command", rollback_ ? "rollback" : "deploy"}, {"by", who_asks()}};
  Result<ControlQuestion> asked = ControlQuestion::ask(socket_, request.dump());
  if (!asked) return cannot(asked.error());
  question_ = std::move(*asked);
  if (rollback_) return std::nullopt;
  const Result<std::string> said = question_->answer(kReadyTimeout);
  if (!said) return cannot(said.error());
  const Json answer = Json::parse(*said, nullptr, false);
  if (!answer.is_object() || !value_of<bool>(answer, "ready")) return end(answer);
  release_ = value_of<int64_t>(answer, "release");
  if (!line_.json) print(fmt::format("release {}\n", release_));
  return std::nullopt;
}

// Nothing is complete but what ends with the frame of length zero: whatever goes wrong
// here, the controller takes no part for the whole.
std::optional<int> Order::upload(ReleaseSource source) {
  uint64_t bytes = 0;
  bool refused = false;
  const Result<void> sent = source.read([&](std::string_view piece) -> Result<void> {
    bytes += piece.size();
    Result<void> done = question_->send(upload_length(piece.size()) + std::string(piece));
    refused = !done;
    return done;
  });
  if (sent) {
    show_.uploaded(bytes, source.entries());
    take_interrupts();
    refused = !question_->send(upload_length(0));
  } else if (!refused) {
    return complain(fmt::format("nothing is deployed: {}", describe(sent.error())), line_.json, kExitFailure);
  }
  return std::nullopt;
}

void Order::handle_interrupt() {
  if (interrupts == interrupts_seen_) return;
  interrupts_seen_ = interrupts;
  const Result<std::string> said = ask_controller(socket_, R"({"command":"cancel-deploy"})", kCancelTimeout);
  const Json answer = said ? Json::parse(*said, nullptr, false) : Json();
  gave_up_ = !answer.is_object() || !value_of<bool>(answer, "ok");
  if (!gave_up_ && !line_.json) print("calling it off\n");
}

int Order::follow() {
  for (;;) {
    handle_interrupt();
    if (gave_up_) {
      return complain(
          "the release serves already: the deploy goes on without this terminal; `terrace releases` "
          "says what came of it",
          line_.json, kExitFailure);
    }
    const Result<std::string> said = question_->answer(kLook);
    if (!said && said.error().code == Code::kTimeout) continue;
    if (!said) {
      return complain(
          "the controller ended in the middle of it: `terrace releases` says which release serves",
          line_.json, kExitFailure);
    }
    if (const std::optional<ControlProgress> progress = parse_progress(*said)) {
      show_.progress(*progress);
      continue;
    }
    const Json answer = Json::parse(*said, nullptr, false);
    if (!answer.is_object() || !answer.contains("ok")) continue;
    return end(answer);
  }
}

int Order::end(const Json& answer) {
  const bool ok = answer.is_object() && value_of<bool>(answer, "ok");
  if (line_.json) {
    print(answer.dump() + "\n");
    return ok ? kExitFine : kExitFailure;
  }
  const std::string failed_step = show_.step();
  show_.ended();
  if (!ok) return say_failure(answer);
  print(fmt::format("release {} serves, after {} in all\n", value_of<int64_t>(answer, "serving"),
                    duration_words(value_of<double>(answer, "seconds"))));
  for (const auto& server : value_of<std::vector<std::string>>(answer, "left_out"))
    print(fmt::format("{} is down: it takes this release before it serves again\n", printable(server)));
  if (rollback_) print("the database stays as it is: a rollback migrates nothing\n");
  return kExitFine;
}

int Order::say_failure(const Json& answer) const {
  // What a build prints was shown as it came; an instance prints for its log.
  const std::string phase = value_of<std::string>(answer, "phase");
  if (phase == "start") {
    for (const auto& text : value_of<std::vector<std::string>>(answer, "output"))
      print(fmt::format("  | {}\n", printable(text)));
  }
  std::string text = value_of<std::string>(answer, "error");
  if (text.empty()) text = "the controller's answer cannot be read";
  if (!phase.empty()) {
    text = fmt::format("{} {} failed in `{}`: {}", rollback_ ? "the rollback to release" : "release",
                       value_of<int64_t>(answer, "release"), phase, text);
  }
  complain(printable(text));
  if (!phase.empty()) {
    const auto serving = value_of<int64_t>(answer, "serving");
    complain(serving == 0 ? std::string("the site's own folder serves, as before")
                          : fmt::format("release {} serves, as before", serving));
  }
  return kExitFailure;
}

// What [app] packages names and is not there: installed by root, asked for by others.
std::optional<int> provide_packages(const CommandLine& line, const std::string& site_path) {
  topology::LoadOptions options;
  options.look_at_folders = false;
  options.resolve = [](std::string_view) { return false; };
  const topology::LoadedSite loaded = topology::load_site(site_path, options);
  // The running site has its own opinion of it; only what can be read is obeyed here.
  if (!loaded.site || loaded.site->app.packages.empty()) return std::nullopt;
  const Result<std::vector<std::string>> missing = missing_packages(loaded.site->app.packages);
  if (!missing || missing->empty()) return std::nullopt;
  const std::string names = fmt::format("{}", fmt::join(*missing, ", "));
  if (::geteuid() != 0) {
    return complain(fmt::format("[app] packages names what is not installed here: {}; type: {}", names,
                                install_command(*missing)),
                    line.json, kExitFailure);
  }
  if (!line.json) print(fmt::format("packages {}\n", names));
  if (install_packages(*missing)) return std::nullopt;
  return complain(fmt::format("apt-get could not install {}; nothing is deployed", names), line.json,
                  kExitFailure);
}

// Folders of the site itself, when they are inside of what is deployed.
std::vector<std::string> own_folders_in(const std::string& folder, const std::string& site_path) {
  const Folders folders = folders_of(site_path, ::geteuid() == 0);
  std::error_code ignored;
  const std::string base = fs::weakly_canonical(folder, ignored).string() + "/";
  std::vector<std::string> inside;
  for (const std::string& each : {folders.state, folders.run, folders.log}) {
    const std::string path = fs::weakly_canonical(each, ignored).string();
    if (path.starts_with(base)) inside.push_back(path.substr(base.size()));
  }
  return inside;
}

// A site of several servers is its members' matter.
std::string socket_of(const std::string& site) {
  return find_member(site).value_or(find_control_socket(site));
}

std::optional<int> unusable_folder(const CommandLine& line, const std::string& folder) {
  std::error_code ignored;
  if (fs::is_directory(folder, ignored)) return std::nullopt;
  return complain(fmt::format("no such folder: {}", folder), line.json, kExitCannotRead);
}

}  // namespace

int run_deploy(const CommandLine& line) {
  const std::optional<std::string> site = find_running_site(line.file);
  if (!site) return complain(no_site_text(line.file), line.json, kExitCannotRead);
  const std::string from = line.what.empty() ? "." : line.what;
  const bool standard_input = from == "-";
  if (standard_input && ::isatty(STDIN_FILENO) != 0) {
    return complain("`-` takes a tar archive from standard input: git archive HEAD | terrace deploy -",
                    line.json, kExitCannotRead);
  }
  if (!standard_input) {
    if (const std::optional<int> status = unusable_folder(line, from)) return *status;
  }
  if (const std::optional<int> status = provide_packages(line, *site)) return *status;
  Order order(line, socket_of(*site), false);
  if (const std::optional<int> status = order.ask()) return *status;
  Result<ReleaseSource> source = standard_input ? ReleaseSource::standard_input()
                                                : ReleaseSource::folder(from, own_folders_in(from, *site));
  if (!source)
    return complain(fmt::format("cannot run tar: {}", describe(source.error())), line.json, kExitCannotRead);
  if (const std::optional<int> status = order.upload(std::move(*source))) return *status;
  return order.follow();
}

int run_rollback(const CommandLine& line) {
  const std::optional<std::string> site = find_running_site(line.file);
  if (!site) return complain(no_site_text(line.file), line.json, kExitCannotRead);
  Order order(line, socket_of(*site), true);
  if (const std::optional<int> status = order.ask()) return *status;
  take_interrupts();
  return order.follow();
}

}  // namespace terrace::program

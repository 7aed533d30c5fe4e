// `terrace lab up`: starts the keeper of a lab as its child, brings the site up within
// the machines, and stays in the foreground unless --detach.

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>

#include "base/file.h"
#include "lab/ask.h"
#include "lab/bring_up.h"
#include "lab/keeper.h"
#include "lab/lab_file.h"
#include "lab/tool.h"
#include "program/json_value.h"
#include "program/lab_command.h"
#include "program/output.h"
#include "program/process_title.h"
#include "program/site_path.h"
#include "program/table.h"
#include "topology/load.h"

#include <nlohmann/json.hpp>

namespace terrace::program {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using lab::LabFolders;

constexpr int kLabsOfOneSite = 100;
constexpr size_t kConsoleBytesMax = 16 << 20;
constexpr size_t kConsoleTail = 2000;

volatile sig_atomic_t interrupts = 0;

void take_interrupts() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupts = interrupts + 1; };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(signal, &action, nullptr);
}

struct Prepared {
  lab::Plan plan;
  std::string site_text;
  std::string project;
  std::vector<std::string> left_out;
};

// The folder that is deployed, without a slash at its end.
std::string project_of(const std::string& site, const std::string& deploy) {
  std::string folder = (fs::path(site).parent_path() / deploy).lexically_normal().string();
  while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  return folder;
}

// Nothing when the files are wrong: then it is said.
std::optional<Prepared> prepare(const CommandLine& line, int& status) {
  const std::string named = line.words.empty() ? line.file : line.words[0];
  const std::optional<std::string> path = find_site(named);
  if (!path) {
    status = complain(no_site_text(named), line.json, kExitCannotRead);
    return std::nullopt;
  }
  topology::LoadOptions options;
  options.resolve = topology::without_secrets;
  options.wants_something_to_serve = false;
  const topology::LoadedSite loaded = topology::load_site(shown_site(named, *path), options);
  const lab::LoadedLabFile beside = lab::load_lab_file(fs::path(*path).parent_path() / "lab.toml");
  if (!loaded.site || !beside.file) {
    const std::string said = (loaded.site ? "" : loaded.text) + (beside.file ? "" : beside.text);
    (void)std::fwrite(said.data(), 1, said.size(), stderr);
    status = loaded.unreadable ? kExitCannotRead : kExitFailure;
    return std::nullopt;
  }
  auto plan = lab::make_plan(*loaded.site, *beside.file);
  const Result<std::string> text = read_file(*path, 1 << 20);
  if (!plan || !text) {
    status = complain(plan ? describe(text.error()) : plan.error(), line.json, kExitFailure);
    return std::nullopt;
  }
  return Prepared{.plan = std::move(*plan),
                  .site_text = *text,
                  .project = project_of(*path, beside.file->deploy),
                  .left_out = loaded.site->app.writable};
}

// The name that was asked for; else the site's, or with a number where that lab runs.
struct Name {
  LabFolders folders;
  Descriptor taken;
};
Result<Name> take(const CommandLine& line, const lab::Plan& plan) {
  const std::string wanted = line.lab.empty() ? plan.site_name : line.lab;
  for (int i = 1; i <= kLabsOfOneSite; ++i) {
    LabFolders folders = lab::lab_folders(i == 1 ? wanted : fmt::format("{}-{}", wanted, i));
    Result<Descriptor> taken = lab::take_name(folders);
    const bool next = !taken && taken.error().code == Code::kUnavailable && line.lab.empty();
    if (next) continue;
    if (!taken) return std::unexpected(taken.error());
    // What a lab of this name left that was ended by force.
    std::error_code ignored;
    fs::remove_all(folders.disk + "/machines", ignored);
    fs::remove(folders.events(), ignored);
    return Name{.folders = std::move(folders), .taken = std::move(*taken)};
  }
  return fail(Code::kLimit, "lab", "too many labs of this site run");
}

[[noreturn]] void become_keeper(lab::KeeperOptions options) {
  ::setsid();
  set_process_title("terrace: lab " + options.folders.name);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::signal(signal, SIG_DFL);
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(nothing, 0);
  ::dup2(nothing, 1);
  const LabFolders folders = options.folders;
  lab::Keeper keeper(std::move(options));
  if (const Result<void> opened = keeper.open(); !opened) {
    complain(fmt::format("the lab cannot be started: {}", describe(opened.error())));
    (void)lab::remove_lab(folders);
    ::_exit(kExitFailure);
  }
  ::dup2(nothing, 2);
  ::_exit(keeper.run());
}

// Whether the keeper is still there; its end is taken once.
bool alive(pid_t& keeper) {
  if (keeper > 0 && ::waitpid(keeper, nullptr, WNOHANG) == keeper) keeper = 0;
  return keeper > 0;
}

void wait_for_end(pid_t& keeper) {
  while (keeper > 0) {
    if (::waitpid(keeper, nullptr, 0) == keeper) keeper = 0;
  }
}

std::string announcement(const lab::Plan& plan, const LabFolders& folders, const std::string& url,
                         bool detached) {
  const std::string with = " --lab " + folders.name;
  std::string text = fmt::format("lab {} runs\n", folders.name);
  if (!url.empty()) text += fmt::format("  site        {}\n", url);
  const std::string place = url.substr(url.rfind('/') + 1);  // "127.0.0.1:8080"
  if (!url.empty() && plan.domain.ends_with(".localhost"))   // browsers and resolvers know it: RFC 6761
    text += fmt::format("              it answers to its name only: http://{}{}/\n", plan.domain,
                        place.substr(place.rfind(':')));
  else if (!url.empty() && !plan.domain.empty())
    text += fmt::format("              it answers to its name only: curl --connect-to ::{} http://{}/\n",
                        place, plan.domain);
  text += fmt::format("  what runs   terrace lab status{}\n", with);
  text += fmt::format("  a server    terrace lab exec{} {} -- bash\n", with, plan.machines[0].name);
  text += fmt::format("  a visitor   terrace lab exec{} outside -- curl http://{}:{}/\n", with,
                      lab::print(plan.machines[0].address), plan.web_port);
  text += fmt::format("  logs        terrace lab logs{} -f\n", with);
  text += fmt::format("  disks       {}\n", folders.disk);
  text += detached ? fmt::format("  its end     terrace lab down{}\n", with) : "  its end     Ctrl-C\n";
  return text;
}

void show_consoles(const lab::Plan& plan, const LabFolders& folders) {
  for (const lab::PlannedMachine& machine : plan.machines) {
    const Result<std::string> console = read_file(folders.console(machine.name), kConsoleBytesMax);
    if (!console || console->empty()) continue;
    const size_t from =
        console->size() > kConsoleTail ? console->find('\n', console->size() - kConsoleTail) : 0;
    fmt::print(stderr, "---- console of {}\n{}", machine.name,
               console->substr(from == std::string::npos ? 0 : from));
  }
}

class Up {
 public:
  Up(const CommandLine& line, Prepared prepared, Name name)
      : line_(line), prepared_(std::move(prepared)), name_(std::move(name)) {}

  int run() {
    take_interrupts();
    if (!start_keeper()) return complain(describe(fail_system("fork").error()), line_.json, kExitFailure);
    const auto up = lab::bring_up(order());
    if (!up && interrupts == 0) {
      complain(up.error(), line_.json, kExitFailure);
      if (!line_.json) show_consoles(prepared_.plan, name_.folders);
    }
    if (!up && !(line_.keep && interrupts == 0)) return end(interrupts > 0 ? 130 : kExitFailure);
    announce();
    if (line_.detach) return up ? kExitFine : kExitFailure;
    while (interrupts == 0 && alive(keeper_)) ::poll(nullptr, 0, 100);
    return end(up ? kExitFine : kExitFailure);
  }

 private:
  bool start_keeper() {
    const pid_t own = ::getpid();
    keeper_ = ::fork();
    if (keeper_ == 0)
      become_keeper({.plan = prepared_.plan,
                     .folders = name_.folders,
                     .name = std::move(name_.taken),
                     .starter = line_.detach ? 0 : own,
                     .set_title = set_process_title});
    name_.taken.reset();
    return keeper_ > 0;
  }

  lab::BringUp order() {
    return {.plan = prepared_.plan,
            .folders = name_.folders,
            .site_text = prepared_.site_text,
            .project = prepared_.project,
            .left_out = prepared_.left_out,
            .deploy = !line_.bare,
            .interrupted = [this] { return interrupts > 0 || !alive(keeper_); },
            .progress = [this](std::string_view step, std::string_view text) { progress(step, text); }};
  }

  void progress(std::string_view step, std::string_view text) const {
    if (line_.json) return;
    const double seconds = std::chrono::duration<double>(Clock::now() - began_).count();
    print(fmt::format("{:6.1f} s  {:<10} {}\n", seconds, step, printable(text)));
  }

  void announce() const {
    const Result<lab::KeeperAnswer> answer =
        lab::ask_keeper(name_.folders, {.command = lab::LabCommand::kStatus});
    if (!answer) return;
    if (line_.json) return print(answer->line + "\n");
    const auto json = nlohmann::json::parse(answer->line, nullptr, false);
    print(announcement(prepared_.plan, name_.folders, value_of<std::string>(json, "url"), line_.detach));
  }

  int end(int status) {
    if (alive(keeper_)) ::kill(keeper_, SIGTERM);
    wait_for_end(keeper_);
    // It was killed: its machines ended with it, their disks did not.
    std::error_code ignored;
    if (fs::exists(name_.folders.disk, ignored) && !lab::is_running(name_.folders))
      (void)lab::remove_lab(name_.folders);
    if (!line_.json) print(fmt::format("lab {}: gone\n", name_.folders.name));
    return status;
  }

  const CommandLine& line_;
  Prepared prepared_;
  Name name_;
  pid_t keeper_ = 0;
  Clock::time_point began_ = Clock::now();
};

}  // namespace

int run_lab_up(const CommandLine& line) {
  if (const std::string missing = lab::missing_tools(); !missing.empty())
    return complain(missing, line.json, kExitFailure);
  int status = kExitFine;
  std::optional<Prepared> prepared = prepare(line, status);
  if (!prepared) return status;
  Result<Name> name = take(line, prepared->plan);
  if (!name) return complain(describe(name.error()), line.json, kExitFailure);
  return Up(line, std::move(*prepared), std::move(*name)).run();
}

}  // namespace terrace::program

#include "lab/bring_up.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "lab/ask.h"
#include "lab/enter.h"
#include "lab/init.h"

namespace terrace::lab {
namespace {

using Clock = std::chrono::steady_clock;
using Done = std::expected<void, std::string>;
using Json = nlohmann::json;
using std::chrono::seconds;

constexpr seconds kBootPatience{60};
constexpr seconds kServePatience{90};
constexpr int kLookMilliseconds = 100;
constexpr size_t kSaidLinesMax = 20;

// As packages/deb/postinst does.
constexpr const char* kInstall =
    "set -e\n"
    "cat > /usr/bin/.terrace.new && chmod 755 /usr/bin/.terrace.new && mv /usr/bin/.terrace.new "
    "/usr/bin/terrace\n"
    "mkdir -p /etc/terrace\n"
    "for user in terrace terrace-app terrace-cluster; do\n"
    "  getent passwd $user > /dev/null || useradd --system --user-group --no-create-home"
    " --home-dir /var/lib/terrace --shell /usr/sbin/nologin $user\n"
    "done\n";

const std::string kStatus = "terrace status --json --file /etc/terrace/site.toml";

class Bringer {
 public:
  explicit Bringer(const BringUp& order) : order_(order) {}
  Done run();

 private:
  Done wait_for_machines();
  Done set_up(const PlannedMachine& machine);
  Done wait_until_ready(const PlannedMachine& machine);
  Done install(const PlannedMachine& machine);
  Done set_secrets(const PlannedMachine& machine);
  Done found(const PlannedMachine& machine);
  Done join(const PlannedMachine& machine, const PlannedMachine& first);
  Done wait_for_terrace(const PlannedMachine& machine);
  Done wait_for_release(const PlannedMachine& machine);
  Done wait_for(const PlannedMachine& machine, const std::function<bool()>& holds, const std::string& what);
  Json status(const PlannedMachine& machine);
  bool has_release(const PlannedMachine& machine);
  Done deploy(const PlannedMachine& machine);
  Done begin(const PlannedMachine& machine);
  struct Shell {
    std::string command;
    int input = -1;
    seconds patience{600};
    std::string_view enough = {};  // how the line begins with which it may be left alone
    std::vector<std::string>* said = nullptr;
  };
  Done shell(const PlannedMachine& machine, const Shell& shell);
  std::expected<std::string, std::string> output(const PlannedMachine& machine, const std::string& command);
  Done bring_machines();
  Done bring_servers(const std::vector<PlannedMachine>& servers);
  Done shell_with(const PlannedMachine& machine, const std::string& command, const std::string& input);
  void say(std::string_view step, std::string_view text) const { order_.progress(step, text); }

  const BringUp& order_;
};

// tar(1) of the folder, as `terrace deploy` makes it.
std::expected<std::pair<Descriptor, pid_t>, std::string> pack(const BringUp& order) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected("pipe: no descriptor left");
  Descriptor reading(ends[0]);
  const Descriptor writing(ends[1]);
  std::vector<std::string> words = {"tar",        "--create",         "--file=-",
                                    "--anchored", "--exclude=./.git", "--exclude=./.terrace"};
  for (const std::string& path : order.left_out) words.push_back("--exclude=./" + path);
  for (const std::string& word : {std::string("--directory"), order.project, std::string(".")})
    words.push_back(word);
  const pid_t pid = ::fork();
  if (pid < 0) return std::unexpected("fork: no process left");
  if (pid == 0) {
    ::dup2(writing.get(), 1);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  return std::pair(std::move(reading), pid);
}

Done Bringer::shell(const PlannedMachine& machine, const Shell& shell) {
  const auto entered = enter(order_.folders, machine.name);
  if (!entered) return std::unexpected(entered.error());
  std::vector<std::string> said;
  RunInMachine run{.words = {"sh", "-c", shell.command}, .input = shell.input, .patience = shell.patience};
  run.show = [&](std::string_view line) {
    if (said.size() == kSaidLinesMax) said.erase(said.begin());
    said.emplace_back(line);
  };
  run.interrupted = order_.interrupted;
  run.enough = [&](std::string_view line) { return !shell.enough.empty() && line.starts_with(shell.enough); };
  const Result<int> status = run_in_machine(entered->get(), run);
  if (shell.said != nullptr) *shell.said = said;
  if (status && *status == 0) return {};
  std::string text = fmt::format("on {}: ", machine.name);
  text += status ? fmt::format("exit status {} of: {}", *status, shell.command) : describe(status.error());
  for (const std::string& line : said) text += "\n  " + line;
  return std::unexpected(text);
}

// The last line that it prints.
std::expected<std::string, std::string> Bringer::output(const PlannedMachine& machine,
                                                        const std::string& command) {
  std::vector<std::string> said;
  if (const Done done = shell(machine, {.command = command, .said = &said}); !done)
    return std::unexpected(done.error());
  return said.empty() ? "" : said.back();
}

Done Bringer::shell_with(const PlannedMachine& machine, const std::string& command,
                         const std::string& input) {
  const Descriptor text(::memfd_create("input", MFD_CLOEXEC));
  if (!text) return std::unexpected("memfd: no descriptor left");
  if (const Result<void> written = write_all(text.get(), input); !written)
    return std::unexpected(describe(written.error()));
  ::lseek(text.get(), 0, SEEK_SET);
  return shell(machine, {.command = command, .input = text.get()});
}

Done Bringer::wait_for_machines() {
  const auto deadline = Clock::now() + kBootPatience;
  for (;;) {
    const Result<KeeperAnswer> answer = ask_keeper(order_.folders, {.command = LabCommand::kStatus});
    if (!answer && Clock::now() > deadline)
      return std::unexpected(describe_keeper_error(answer.error(), order_.folders));
    const Json json = answer ? Json::parse(answer->line, nullptr, false) : Json();
    size_t up = 0;
    for (const Json& machine : json.is_object() ? json["machines"] : Json::array()) {
      if (machine.contains("error"))
        return std::unexpected(fmt::format("`{}` does not boot: {}", machine["name"].get<std::string>(),
                                           machine["error"].get<std::string>()));
      if (machine["state"] == "up") ++up;
    }
    if (up == order_.plan.machines.size()) return {};
    if (Clock::now() > deadline) return std::unexpected("the machines do not boot in a minute");
    if (order_.interrupted()) return std::unexpected("interrupted");
    ::poll(nullptr, 0, kLookMilliseconds / 5);
  }
}

Done Bringer::begin(const PlannedMachine& machine) {
  const Result<KeeperAnswer> answer =
      ask_keeper(order_.folders, {.command = LabCommand::kBegin, .machine = machine.name});
  if (!answer) return std::unexpected(describe_keeper_error(answer.error(), order_.folders));
  if (!answer->ok) return std::unexpected(answer->error);
  return {};
}

Done Bringer::set_up(const PlannedMachine& machine) {
  say(machine.name, machine.setup.empty() ? "run" : "setup");
  if (!machine.setup.empty()) {
    if (Done done = shell(machine, {.command = machine.setup}); !done) return done;
  }
  if (Done done = shell(machine, {.command = fmt::format("touch {}", kSetupDone)}); !done) return done;
  return begin(machine);
}

// What Terrace says of its own server there; nothing while it does not answer. Its exit
// status is about the whole site, others that have yet to join included.
Json Bringer::status(const PlannedMachine& machine) {
  std::vector<std::string> said;
  (void)shell(machine, {.command = kStatus, .patience = seconds(10), .said = &said});
  const Json status = said.empty() ? Json() : Json::parse(said.back(), nullptr, false);
  return status.is_object() ? status : Json::object();
}

Done Bringer::wait_for(const PlannedMachine& machine, const std::function<bool()>& holds,
                       const std::string& what) {
  const auto deadline = Clock::now() + kServePatience;
  while (!holds()) {
    if (order_.interrupted()) return std::unexpected("interrupted");
    if (Clock::now() > deadline)
      return std::unexpected(fmt::format("`{0}` {1}: see `terrace lab logs {0}`", machine.name, what));
    ::poll(nullptr, 0, kLookMilliseconds);
  }
  return {};
}

Done Bringer::wait_until_ready(const PlannedMachine& machine) {
  if (machine.ready.empty()) return {};
  const auto ready = [&] {
    return shell(machine, {.command = machine.ready, .patience = seconds(10)}).has_value();
  };
  return wait_for(machine, ready, "is not ready, as `" + machine.ready + "` fails");
}

Done Bringer::wait_for_terrace(const PlannedMachine& machine) {
  return wait_for(
      machine, [&] { return status(machine).value("state", Json()) == "serving"; }, "does not serve");
}

Done Bringer::wait_for_release(const PlannedMachine& machine) {
  return wait_for(machine, [&] { return has_release(machine); }, "has no release");
}

bool Bringer::has_release(const PlannedMachine& machine) {
  const Json release = status(machine).value("release", Json());
  return release.is_number_integer() && release > 0;
}

Done Bringer::install(const PlannedMachine& machine) {
  const Descriptor program(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  if (!program) return std::unexpected("this program cannot be read");
  say(machine.name, "install");
  return shell(machine, {.command = kInstall, .input = program.get()});
}

Done Bringer::set_secrets(const PlannedMachine& machine) {
  for (const config::Named& secret : order_.plan.secrets) {
    const std::string command =
        fmt::format("terrace secret set {} --file /etc/terrace/site.toml", secret.name);
    if (Done done = shell_with(machine, command, secret.value); !done) return done;
  }
  return {};
}

Done Bringer::found(const PlannedMachine& machine) {
  say(machine.name, "up");
  if (Done done = shell_with(machine, "cat > /etc/terrace/site.toml", order_.site_text); !done) return done;
  if (Done done = set_secrets(machine); !done) return done;
  return begin(machine);
}

// As a person does: a token is asked for on the first server and typed in on the new one.
Done Bringer::join(const PlannedMachine& machine, const PlannedMachine& first) {
  say(machine.name, "join");
  // A load balancer serves a moment before it is a member of the site.
  std::expected<std::string, std::string> said;
  const auto given = [&] {
    said = output(first, fmt::format("terrace token {} --json", machine.name));
    return said.has_value();
  };
  const Done asked = wait_for(first, given, "gives no token");
  if (!said) return std::unexpected(said.error());
  if (!asked) return asked;
  const Json answer = Json::parse(*said, nullptr, false);
  const Json token = answer.is_object() ? answer.value("token", Json()) : Json();
  if (!token.is_string()) return std::unexpected("no token in: " + *said);
  const std::string command =
      fmt::format("terrace join {} --token {}", print(first.address), token.get<std::string>());
  if (Done done = shell(machine, {.command = command}); !done) return done;
  return begin(machine);
}

Done Bringer::deploy(const PlannedMachine& machine) {
  say(machine.name, "deploy " + order_.project);
  auto packed = pack(order_);
  if (!packed) return std::unexpected(packed.error());
  // The first minute of the release is watched by the site, and by nobody here.
  Done done = shell(machine, {.command = "terrace deploy - --file /etc/terrace/site.toml",
                              .input = packed->first.get(),
                              .patience = seconds(1800),
                              .enough = "bake"});
  packed->first.reset();
  int status = 0;
  while (::waitpid(packed->second, &status, 0) < 0 && errno == EINTR) continue;
  return done;
}

Done Bringer::bring_machines() {
  for (const auto step : {&Bringer::set_up, &Bringer::wait_until_ready}) {
    for (const PlannedMachine& machine : order_.plan.machines) {
      if (machine.kind != MachineKind::kOther) continue;
      if (Done done = (this->*step)(machine); !done) return done;
    }
  }
  for (const PlannedMachine& machine : order_.plan.machines) {
    if (!machine.has_terrace()) continue;
    if (Done done = install(machine); !done) return done;
  }
  return {};
}

Done Bringer::bring_servers(const std::vector<PlannedMachine>& servers) {
  if (Done done = found(servers[0]); !done) return done;
  if (Done done = wait_for_terrace(servers[0]); !done) return done;
  for (size_t i = 1; i < servers.size(); ++i) {
    if (Done done = join(servers[i], servers[0]); !done) return done;
  }
  for (const PlannedMachine& server : servers) {
    if (Done done = wait_for_terrace(server); !done) return done;
  }
  return {};
}

Done Bringer::run() {
  if (Done done = wait_for_machines(); !done) return done;
  say("machines", fmt::format("{} are switched on", order_.plan.machines.size()));
  if (Done done = bring_machines(); !done) return done;
  std::vector<PlannedMachine> servers = order_.plan.machines;
  std::erase_if(servers, [](const PlannedMachine& machine) { return machine.kind != MachineKind::kServer; });
  if (Done done = bring_servers(servers); !done) return done;
  std::erase_if(servers, [](const PlannedMachine& machine) { return !machine.releases; });
  if (!order_.deploy || servers.empty()) return {};
  if (Done done = deploy(servers[0]); !done) return done;
  for (const PlannedMachine& server : servers) {
    if (Done done = wait_for_release(server); !done) return done;
  }
  return {};
}

}  // namespace

std::expected<void, std::string> bring_up(const BringUp& order) { return Bringer(order).run(); }

}  // namespace terrace::lab

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "program/commands.h"
#include "program/control_client.h"
#include "program/output.h"
#include "program/site_path.h"
#include "program/status.h"

// upgrade: asks the supervisor to become the program that is installed now. A refusal
// is answered; success shows in the status of the controller that comes afterwards.

namespace terrace::program {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr seconds kStatusTimeout{5};
constexpr seconds kAnswerTimeout{30};  // a trial has ten
constexpr seconds kServingTimeout{60};
constexpr std::chrono::minutes kBusyMax{10};
constexpr seconds kBusyPause{1};
constexpr milliseconds kPause{50};

std::optional<SiteStatus> status_of(const std::string& socket) {
  const Result<std::string> answer = ask_controller(socket, R"({"command":"status"})", kStatusTimeout);
  return answer ? parse_status(*answer) : std::nullopt;
}

struct Refusal {
  std::string why;  // empty: the upgrade began
  bool busy = false;
};

Refusal ask_once(const std::string& socket) {
  const Result<std::string> answer = ask_controller(socket, R"({"command":"upgrade"})", kAnswerTimeout);
  // The controller that we asked is replaced, so its silence is good.
  if (!answer && (answer.error().code == Code::kClosed || answer.error().code == Code::kSystem)) return {};
  if (!answer) return {.why = describe_control_error(answer.error(), socket)};
  const Json json = Json::parse(*answer, nullptr, false);
  if (!json.is_object()) return {.why = "the controller's answer cannot be read"};
  return {.why = json.value("error", "it says nothing"), .busy = json.value("busy", false)};
}

// Waits for what ends by itself: a deploy, an upgrade before this one.
Refusal ask(const std::string& socket, bool quiet) {
  const auto deadline = Clock::now() + kBusyMax;
  Refusal refusal = ask_once(socket);
  if (refusal.busy && !quiet) print(fmt::format("waiting: {}\n", refusal.why));
  while (refusal.busy && Clock::now() < deadline) {
    std::this_thread::sleep_for(kBusyPause);
    refusal = ask_once(socket);
  }
  return refusal;
}

std::optional<SiteStatus> wait_for_successor(const std::string& socket, const SiteStatus& before) {
  const auto deadline = Clock::now() + kServingTimeout;
  while (Clock::now() < deadline) {
    const std::optional<SiteStatus> now = status_of(socket);
    if (now && now->upgrades > before.upgrades && now->worker_connected &&
        (now->state == "serving" || before.state != "serving"))
      return now;
    std::this_thread::sleep_for(kPause);
  }
  return std::nullopt;
}

void say(const SiteStatus& before, const SiteStatus& after, double duration) {
  const bool same = before.program_version == after.program_version;
  print(same ? fmt::format("terrace {} was replaced by a program of the same version in {}\n",
                           after.program_version, duration_words(duration))
             : fmt::format("terrace {} goes on where {} was, after {}\n", after.program_version,
                           before.program_version, duration_words(duration)));
  if (after.workers_retiring > 0)
    print("the worker of before finishes its requests and WebSockets, then leaves\n");
}

}  // namespace

int run_upgrade(const CommandLine& line) {
  const std::optional<std::string> site = find_site(line.file);
  if (!site) return complain(no_site_text(line.file), line.json, kExitCannotRead);
  const std::string socket = find_control_socket(*site);
  const auto begin = Clock::now();
  const Result<std::string> first = ask_controller(socket, R"({"command":"status"})", kStatusTimeout);
  const std::optional<SiteStatus> before = first ? parse_status(*first) : std::nullopt;
  if (!before) {
    const bool absent = !first && first.error().code == Code::kNotFound;
    const std::string why =
        first ? "the controller's answer cannot be read" : describe_control_error(first.error(), socket);
    return complain(why, line.json, absent ? kExitFailure : kExitCannotRead);
  }
  const Refusal refusal = ask(socket, line.json);
  if (!refusal.why.empty())
    return complain(fmt::format("no upgrade, {} goes on: {}", before->program_version, refusal.why),
                    line.json, kExitFailure);
  const std::optional<SiteStatus> after = wait_for_successor(socket, *before);
  if (!after) {
    return complain("the new program does not serve yet; see `terrace status` and `terrace logs --terrace`",
                    line.json, kExitFailure);
  }
  const double took = std::chrono::duration<double>(Clock::now() - begin).count();
  if (line.json) {
    print(Json{{"ok", true}, {"from", before->program_version}, {"to", after->program_version}}.dump() +
          "\n");
  } else {
    say(*before, *after, took);
  }
  return kExitFine;
}

}  // namespace terrace::program

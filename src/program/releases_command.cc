// releases: the list.

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "program/commands.h"
#include "program/control_client.h"
#include "program/json_value.h"
#include "program/output.h"
#include "program/site_path.h"
#include "program/status.h"
#include "program/table.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::seconds kAnswerTimeout{5};

std::string time_words(int64_t seconds) {
  return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

Colour colour_of(const std::string& state) {
  if (state == "failed") return Colour::kRed;
  return state == "ready" ? Colour::kGreen : Colour::kYellow;
}

std::string role_of(int64_t number, const Json& answer) {
  if (number == value_of<int64_t>(answer, "current")) return "serves";
  if (number == value_of<int64_t>(answer, "previous")) return "for `terrace rollback`";
  return "";
}

void show(const Json& answer) {
  const Json releases = value_of<Json>(answer, "releases");
  if (releases.empty()) return print("no release yet: the site runs from the folder of its file\n");
  Table table({">release", "made", "state", ">size", ""});
  for (const Json& each : releases) {
    const auto number = value_of<int64_t>(each, "number");
    const auto state = value_of<std::string>(each, "state");
    const auto bytes = value_of<int64_t>(each, "bytes");
    table.row({std::to_string(number),
               time_words(value_of<int64_t>(each, "made")),
               {state, colour_of(state)},
               bytes == 0 ? "" : bytes_words(bytes),
               role_of(number, answer)});
    const auto reason = value_of<std::string>(each, "reason");
    if (!reason.empty()) table.note(printable(reason));
  }
  print(table.text(wants_colours()));
  const Json deploy = value_of<Json>(answer, "deploy");
  if (!deploy.is_object()) return;
  print(fmt::format("{} {} is under way, by {}, since {}, now at `{}`\n",
                    value_of<bool>(deploy, "rollback") ? "a rollback to release" : "the deploy of release",
                    value_of<int64_t>(deploy, "release"), printable(value_of<std::string>(deploy, "by")),
                    duration_words(value_of<double>(deploy, "seconds")),
                    printable(value_of<std::string>(deploy, "phase"))));
}

}  // namespace

int run_releases(const CommandLine& line) {
  const std::optional<std::string> site = find_running_site(line.file);
  if (!site) return complain(no_site_text(line.file), line.json, kExitCannotRead);
  const std::string socket = find_control_socket(*site);
  const Result<std::string> said = ask_controller(socket, R"({"command":"releases"})", kAnswerTimeout);
  if (!said) {
    const bool absent = said.error().code == Code::kNotFound;
    return complain(describe_control_error(said.error(), socket), line.json,
                    absent ? kExitFailure : kExitCannotRead);
  }
  const Json answer = Json::parse(*said, nullptr, false);
  if (!answer.is_object() || !value_of<bool>(answer, "ok"))
    return complain("the controller's answer cannot be read", line.json, kExitCannotRead);
  if (line.json) {
    print(*said + "\n");
  } else {
    show(answer);
  }
  return kExitFine;
}

}  // namespace terrace::program

// token, revoke, drain, undrain and certificates: what is asked of the member about the
// servers of the site.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "program/commands.h"
#include "program/json_value.h"
#include "program/log_line.h"
#include "program/member_client.h"
#include "program/output.h"
#include "program/status.h"
#include "program/table.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

std::string shown(const Json& json, const char* key) { return printable(value_of<std::string>(json, key)); }

// "sha256:0123456789ab": enough of a fingerprint for the eye.
std::string short_fingerprint(const std::string& fingerprint) { return printable(fingerprint.substr(0, 16)); }

void show_servers(const Json& answer) {
  Table table({"SERVER", "CERTIFICATE ENDS IN", "SIGNED BY", "TRUSTS"});
  for (const Json& each : value_of<std::vector<Json>>(answer, "servers")) {
    std::vector<std::string> trusts;
    for (const std::string& one : value_of<std::vector<std::string>>(each, "trusts"))
      trusts.push_back(short_fingerprint(one));
    table.row({shown(each, "name"), duration_words(value_of<double>(each, "expires_seconds")),
               short_fingerprint(value_of<std::string>(each, "signer")),
               fmt::format("{}", fmt::join(trusts, ", "))});
  }
  print(table.text(wants_colours()));
  for (const Json& each : value_of<std::vector<Json>>(answer, "revoked"))
    print(fmt::format("revoked: {}, {} ago\n", shown(each, "name"),
                      duration_words(value_of<double>(each, "age_seconds"))));
}

bool is_signed_by(const Json& server, const std::string& next) {
  const auto traffic = value_of<std::string>(server, "traffic_signer");
  return value_of<std::string>(server, "signer") == next && (traffic.empty() || traffic == next);
}

// Who holds a rotation up, and for what.
void show_rotation(const Json& answer) {
  const auto phase = value_of<std::string>(answer, "phase");
  if (phase != "trusting" && phase != "signing") return;
  const auto next = value_of<std::string>(answer, "next");
  std::vector<std::string> missing;
  for (const Json& each : value_of<std::vector<Json>>(answer, "servers")) {
    const auto trusts = value_of<std::vector<std::string>>(each, "trusts");
    const bool done =
        phase == "trusting" ? std::ranges::find(trusts, next) != trusts.end() : is_signed_by(each, next);
    if (!done) missing.push_back(shown(each, "name"));
  }
  print(fmt::format("a rotation is under way to {}: {}\n", short_fingerprint(next),
                    missing.empty() ? "its next step comes now"
                    : phase == "trusting"
                        ? fmt::format("not yet trusted by {}", fmt::join(missing, ", "))
                        : fmt::format("no certificate of it yet on {}", fmt::join(missing, ", "))));
}

}  // namespace

int run_token(const CommandLine& line) {
  const WallTime now = std::chrono::system_clock::now();
  int64_t seconds = 0;
  if (!line.life.empty()) {
    // So long ago, and so long from now.
    const std::optional<WallTime> before = time_meant(line.life, now);
    if (!before || *before >= now)
      return complain(fmt::format("`{}` is no duration: 10m, 2h, 3d", line.life), line.json, kExitCannotRead);
    seconds = std::chrono::ceil<std::chrono::seconds>(now - *before).count();
  }
  int status = kExitFine;
  const Json question = {{"command", "token"}, {"server", line.server}, {"life_seconds", seconds}};
  const std::optional<std::string> answer = ask_member(line, question.dump(), status);
  if (!answer) return status;
  if (line.json) return print(*answer + "\n"), kExitFine;
  const Json json = Json::parse(*answer, nullptr, false);
  fmt::print(stderr, "on {}, within {}:\n\n", shown(json, "server"),
             duration_words(value_of<double>(json, "life_seconds")));
  print(fmt::format("terrace join {} --token {}\n", shown(json, "address"), shown(json, "token")));
  return kExitFine;
}

int run_revoke(const CommandLine& line) {
  int status = kExitFine;
  const Json question = {{"command", "revoke"}, {"server", line.server}};
  const std::optional<std::string> answer = ask_member(line, question.dump(), status);
  if (!answer) return status;
  if (line.json) return print(*answer + "\n"), kExitFine;
  const Json json = Json::parse(*answer, nullptr, false);
  print(fmt::format("{} is out: no server of the site speaks with it any more\n", printable(line.server)));
  if (value_of<bool>(json, "held_authority"))
    print("it held the authority's key: `terrace certificates rotate` makes that key worthless\n");
  return kExitFine;
}

int run_drain(const CommandLine& line) {
  const bool drains = line.command == Command::kDrain;
  int status = kExitFine;
  const Json question = {{"command", "on-server"},
                         {"server", line.server},
                         {"question", {{"command", drains ? "drain" : "undrain"}}}};
  const std::optional<std::string> answer = ask_member(line, question.dump(), status);
  if (!answer) return status;
  if (line.json) return print(*answer + "\n"), kExitFine;
  const Json json = Json::parse(*answer, nullptr, false);
  const std::string server = printable(line.server);
  if (!drains) return print(fmt::format("{} takes requests again\n", server)), kExitFine;
  const auto open = value_of<int64_t>(json, "connections");
  print(open == 0 ? fmt::format("{} takes no request any more\n", server)
                  : fmt::format("{} takes no new request; {} connections were still open\n", server, open));
  return kExitFine;
}

int run_certificates(const CommandLine& line) {
  const bool rotates = line.what == "rotate";
  int status = kExitFine;
  const std::optional<std::string> answer =
      ask_member(line, rotates ? R"({"command":"rotate"})" : R"({"command":"certificates"})", status);
  if (!answer) return status;
  if (line.json) return print(*answer + "\n"), kExitFine;
  const Json json = Json::parse(*answer, nullptr, false);
  if (rotates) {
    print(
        fmt::format("a new authority takes the place of the one before: {}\n"
                    "`terrace certificates` shows how far it is\n",
                    short_fingerprint(value_of<std::string>(json, "fingerprint"))));
    return kExitFine;
  }
  print(fmt::format(
      "site {}, authority number {}, key on {}\n\n", shown(json, "site"),
      value_of<int64_t>(json, "generation"),
      printable(fmt::format("{}", fmt::join(value_of<std::vector<std::string>>(json, "holders"), " and ")))));
  show_servers(json);
  show_rotation(json);
  return kExitFine;
}

}  // namespace terrace::program

// apply and history: a version of the site file for all servers of the site.

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cluster/shared.h"
#include "program/commands.h"
#include "program/control.h"
#include "program/control_client.h"
#include "program/json_value.h"
#include "program/member_client.h"
#include "program/output.h"
#include "program/site_path.h"
#include "program/status.h"
#include "program/table.h"
#include "program/upload.h"
#include "program/who_asks.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::minutes kApplyTimeout{5};

std::string time_words(int64_t seconds) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::string frames_of(const std::string& text) {
  return (text.empty() ? "" : upload_length(text.size()) + text) + upload_length(0);
}

// The answer of whoever decides: the member, or the controller of a site of one server.
Result<Json> ask(const std::string& socket, const Json& request, const std::string& frames, bool shows) {
  Result<ControlQuestion> question = ControlQuestion::ask(socket, request.dump());
  if (!question) return std::unexpected(question.error());
  if (Result<void> sent = question->send(frames); !sent) return std::unexpected(sent.error());
  for (;;) {
    const Result<std::string> said = question->answer(kApplyTimeout);
    if (!said) return std::unexpected(said.error());
    if (const std::optional<ControlProgress> progress = parse_progress(*said)) {
      if (shows) print(fmt::format("  {}\n", printable(progress->line)));
      continue;
    }
    Json answer = Json::parse(*said, nullptr, false);
    if (!answer.is_object() || !answer.contains("ok"))
      return fail(Code::kInvalid, "answer", "it cannot be read");
    return answer;
  }
}

int refused(const CommandLine& line, const Json& answer) {
  if (line.json) {
    print(answer.dump() + "\n");
    return kExitFailure;
  }
  for (const auto& text : value_of<std::vector<std::string>>(answer, "diagnostics"))
    (void)std::fwrite(text.data(), 1, text.size(), stderr);
  return complain(printable(value_of<std::string>(answer, "error")), false, kExitFailure);
}

void show_behind(const Json& answer, int64_t version) {
  if (value_of<bool>(answer, "leaves"))
    print("this server leaves the site: the others take it, and do not tell this one\n");
  for (const auto& server : value_of<std::vector<std::string>>(answer, "behind"))
    print(fmt::format("{} does not run version {} yet: `terrace status` says why\n", printable(server),
                      version));
}

int accepted(const CommandLine& line, const Json& answer, bool several) {
  const auto behind = value_of<std::vector<std::string>>(answer, "behind");
  const int status = behind.empty() ? kExitFine : kExitFailure;
  if (line.json) {
    print(answer.dump() + "\n");
    return status;
  }
  const auto changed = value_of<std::vector<std::string>>(answer, "changed");
  for (const std::string& each : changed) print(printable(each) + "\n");
  const auto version = value_of<int64_t>(answer, "version");
  if (value_of<bool>(answer, "same")) {
    print(fmt::format("nothing to apply: the site runs this file, version {}\n", version));
  } else if (line.check) {
    print(changed.empty() ? "nothing would change\n" : "nothing is changed: this was only a check\n");
  } else if (several) {
    print(fmt::format("version {} of the site file is applied\n", version));
  } else {
    print(changed.empty() ? "the site file is applied: no value differs\n" : "the site file is applied\n");
  }
  show_behind(answer, version);
  return status;
}

}  // namespace

int run_apply(const CommandLine& line) {
  const std::optional<std::string> site = find_running_site(line.file);
  if (!site) return complain(no_site_text(line.file), line.json, kExitCannotRead);
  const std::optional<std::string> member = find_member(*site);
  if (line.back && !member)
    return complain("this site has one server: its versions are not kept", line.json, kExitFailure);
  const std::string path = line.what.empty() ? *site : line.what;
  std::string text;
  if (!line.back) {
    Result<std::string> read = read_file(path, cluster::kSharedSiteBytesMax);
    if (!read)
      return complain(fmt::format("{} cannot be read: {}", path, describe(read.error())), line.json,
                      kExitCannotRead);
    text = *std::move(read);
  }
  Json request = {{"command", "take-site"}, {"version", 0}, {"check_only", line.check}, {"name", path}};
  if (member) {
    request = {
        {"command", "apply"}, {"by", who_asks()}, {"name", path}, {"check", line.check}, {"back", line.back}};
  }
  const std::string socket = member ? *member : find_control_socket(*site);
  const std::string frames = line.back ? "" : frames_of(text);
  const Result<Json> answer = ask(socket, request, frames, !line.json);
  if (!answer) {
    const bool absent = answer.error().code == Code::kNotFound;
    return complain(describe_control_error(answer.error(), socket), line.json,
                    absent ? kExitFailure : kExitCannotRead);
  }
  return value_of<bool>(*answer, "ok") ? accepted(line, *answer, member.has_value()) : refused(line, *answer);
}

int run_history(const CommandLine& line) {
  int status = kExitFine;
  const std::optional<std::string> said = ask_member(line, R"({"command":"history"})", status);
  if (!said) return status;
  if (line.json) {
    print(*said + "\n");
    return kExitFine;
  }
  const Json answer = Json::parse(*said, nullptr, false);
  const auto current = value_of<int64_t>(answer, "current");
  Table table({">version", "applied", "by", "on", ""});
  for (const Json& each : value_of<Json>(answer, "versions")) {
    const auto version = value_of<int64_t>(each, "version");
    table.row({std::to_string(version), time_words(value_of<int64_t>(each, "at")),
               printable(value_of<std::string>(each, "by")), printable(value_of<std::string>(each, "server")),
               version == current ? "holds" : ""});
    for (const auto& change : value_of<std::vector<std::string>>(each, "changed"))
      table.note(printable(change));
  }
  print(table.text(wants_colours()));
  if (!value_of<bool>(answer, "fresh"))
    print("what the servers share cannot be reached: there may be newer ones\n");
  return kExitFine;
}

}  // namespace terrace::program

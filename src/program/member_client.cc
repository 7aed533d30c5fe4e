#include "program/member_client.h"

#include <nlohmann/json.hpp>

#include "program/control.h"
#include "program/control_client.h"
#include "program/json_value.h"
#include "program/member_talk.h"
#include "program/output.h"
#include "program/site_path.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::seconds kPingTimeout{2};

// What the member says of itself, or an error.
Result<Json> ping(const std::string& socket) {
  const Result<std::string> answer = ask_controller(socket, R"({"command":"ping"})", kPingTimeout);
  if (!answer) return std::unexpected(answer.error());
  Json json = Json::parse(*answer, nullptr, false);
  if (!json.is_object()) return fail(Code::kInvalid, "ping");
  return json;
}

std::string why_nobody(const Error& error, const std::string& socket) {
  if (error.system == EACCES) return "the site runs as another user; try with sudo";
  if (error.code == Code::kNotFound)
    return "this server is none of several: nobody answers at " + socket +
           "; a second entry in [servers] makes it one, then `terrace up` or `terrace reload`";
  return "the member does not answer: " + describe(error);
}

}  // namespace

std::optional<std::string> find_member(const std::string& site_path) {
  std::string socket = member_socket(find_folders(site_path));
  const Result<Json> said = ping(socket);
  if (!said || !value_of<bool>(*said, "member")) return std::nullopt;
  return socket;
}

std::optional<std::string> ask_member(const CommandLine& line, std::string_view question, int& status,
                                      const std::function<void(const std::string& line)>& before) {
  const std::optional<std::string> site = find_site(line.file);
  if (!site) {
    status = complain(no_site_text(line.file), line.json, kExitCannotRead);
    return std::nullopt;
  }
  const std::string socket = member_socket(find_folders(*site));
  Result<ControlQuestion> asked = ControlQuestion::ask(socket, question);
  Result<std::string> said = asked ? asked->answer(kControlAnswerTimeout) : std::unexpected(asked.error());
  while (said) {
    const Json json = Json::parse(*said, nullptr, false);
    if (json.is_object() && json.contains("ok")) break;
    if (before) before(*said);
    said = asked->answer(kControlAnswerTimeout);
  }
  if (said && is_good(*said)) return *said;
  if (said && line.json) {
    print(*said + "\n");
    status = kExitFailure;
    return std::nullopt;
  }
  const bool absent = said || said.error().code == Code::kNotFound;
  status = complain(said ? error_in(*said) : why_nobody(said.error(), socket), line.json,
                    absent ? kExitFailure : kExitCannotRead);
  return std::nullopt;
}

}  // namespace terrace::program

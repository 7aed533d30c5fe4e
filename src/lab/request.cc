#include "lab/request.h"

#include <array>
#include <nlohmann/json.hpp>

namespace terrace::lab {
namespace {

using Json = nlohmann::json;

// Which members a command has; those that are optional are so together.
struct Form {
  const char* name;
  LabCommand command;
  bool machine = false;
  bool other = false;
  bool one_way = false;
  bool up = false;
  bool all_optional = false;
};

constexpr std::array kForms = {
    Form{.name = "status", .command = LabCommand::kStatus},
    Form{.name = "enter", .command = LabCommand::kEnter, .machine = true},
    Form{.name = "begin", .command = LabCommand::kBegin, .machine = true},
    Form{.name = "stop", .command = LabCommand::kStop, .machine = true},
    Form{.name = "start", .command = LabCommand::kStart, .machine = true},
    Form{.name = "kill", .command = LabCommand::kKill, .machine = true},
    Form{.name = "freeze", .command = LabCommand::kFreeze, .machine = true},
    Form{.name = "thaw", .command = LabCommand::kThaw, .machine = true},
    Form{.name = "cut", .command = LabCommand::kCut, .machine = true, .other = true, .one_way = true},
    Form{.name = "heal", .command = LabCommand::kHeal, .machine = true, .other = true, .all_optional = true},
    Form{.name = "link", .command = LabCommand::kLink, .machine = true, .up = true},
    Form{.name = "down", .command = LabCommand::kDown},
};

const Form* find_form(const std::string& name) {
  for (const Form& form : kForms) {
    if (name == form.name) return &form;
  }
  return nullptr;
}

const Form& form_of(LabCommand command) { return kForms[static_cast<size_t>(command)]; }

std::unexpected<Error> refuse(const char* why) { return fail(Code::kInvalid, "request", why); }

// The member as it must be, when it is there; false when it is of another type.
bool take(const Json& json, const char* name, std::string& into, size_t& taken) {
  const auto found = json.find(name);
  if (found == json.end()) return true;
  if (!found->is_string() || found->get_ref<const std::string&>().empty()) return false;
  into = found->get<std::string>();
  ++taken;
  return true;
}

bool take(const Json& json, const char* name, bool& into, size_t& taken) {
  const auto found = json.find(name);
  if (found == json.end()) return true;
  if (!found->is_boolean()) return false;
  into = found->get<bool>();
  ++taken;
  return true;
}

}  // namespace

const char* word(LabCommand command) { return form_of(command).name; }

Result<Request> parse_request(std::string_view line) {
  if (line.size() > kRequestBytesMax) return fail(Code::kLimit, "request", "too long");
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return refuse("not a JSON object");
  const auto name = json.find("command");
  if (name == json.end() || !name->is_string()) return refuse("no command");
  const Form* form = find_form(name->get<std::string>());
  if (form == nullptr) return refuse("no such command");
  Request request{.command = form->command};
  size_t taken = 1;
  if (form->machine && !take(json, "machine", request.machine, taken)) return refuse("machine is no name");
  if (form->other && !take(json, "other", request.other, taken)) return refuse("other is no name");
  if (form->one_way && !take(json, "one_way", request.one_way, taken)) return refuse("one_way is no boolean");
  if (form->up && !take(json, "up", request.up, taken)) return refuse("up is no boolean");
  if (taken != json.size()) return refuse("a member that the command does not know");
  const bool bare = request.machine.empty() && request.other.empty();
  if (form->all_optional && bare) return request;
  if (form->machine && request.machine.empty()) return refuse("no machine");
  if (form->other && request.other.empty()) return refuse("no other machine");
  return request;
}

std::string write_request(const Request& request) {
  const Form& form = form_of(request.command);
  Json json = {{"command", form.name}};
  if (!request.machine.empty()) json["machine"] = request.machine;
  if (!request.other.empty()) json["other"] = request.other;
  if (form.one_way) json["one_way"] = request.one_way;
  if (form.up) json["up"] = request.up;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace terrace::lab

#include "program/servers_status.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cluster/hello.h"
#include "program/control_client.h"
#include "program/json_value.h"
#include "program/member_client.h"
#include "program/status.h"
#include "program/table.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

// Longer than the member waits for any server.
constexpr std::chrono::seconds kServersTimeout{6};

std::vector<Json> servers_in(const std::string& answer) {
  const Json json = Json::parse(answer, nullptr, false);
  return json.is_object() ? value_of<std::vector<Json>>(json, "servers") : std::vector<Json>();
}

// What the controller of that server says; null when it does not.
Json controller_of(const Json& server) {
  const auto status = value_of<Json>(server, "status");
  return status.is_object() ? value_of<Json>(status, "controller") : Json();
}

std::string state_of(const Json& server) {
  if (!value_of<bool>(server, "joined")) return "has not joined";
  if (!value_of<bool>(server, "answers")) return "does not answer";
  const Json controller = controller_of(server);
  if (!controller.is_object()) return "its controller does not answer";
  if (value_of<bool>(controller, "drained")) return "drained";
  return value_of<std::string>(controller, "state");
}

int64_t instances_up(const Json& controller) {
  int64_t up = 0;
  for (const Json& each : value_of<std::vector<Json>>(controller, "instances"))
    up += value_of<std::string>(each, "state") == "up" ? 1 : 0;
  return up;
}

double clock_ahead(const Json& server) { return value_of<double>(server, "clock_ahead_seconds"); }

bool clock_differs(const Json& server) {
  return std::abs(clock_ahead(server)) > std::chrono::duration<double>(cluster::kClockDifferenceMax).count();
}

// Why it does not answer, and since when that may be so: another server is not heard of all the time.
std::string why_silent(const Json& server) {
  std::string error = printable(value_of<std::string>(server, "error"));
  if (error.empty() || !server.contains("heard_seconds")) return error;
  return fmt::format("{}; last heard of {} ago", error,
                     duration_words(value_of<double>(server, "heard_seconds")));
}

void add_notes(Table& table, const Json& server) {
  if (const std::string why = why_silent(server); !why.empty()) table.note(why);
  const auto status = value_of<Json>(server, "status");
  const auto problem = status.is_object() ? value_of<std::string>(status, "problem") : "";
  if (!problem.empty()) table.note(printable(problem));
  if (clock_differs(server))
    table.note(fmt::format("its clock is {} {} ours", duration_words(std::abs(clock_ahead(server))),
                           clock_ahead(server) > 0 ? "ahead of" : "behind"));
}

// A server that was drained has closed its address, so that a load balancer, which only
// sees this, takes it for down.
void mark_drained(Json& status, const std::vector<Json>& servers) {
  if (!status.contains("backends") || !status["backends"].is_array()) return;
  for (Json& backend : status["backends"]) {
    if (!backend.is_object()) continue;
    const auto name = value_of<std::string>(backend, "name");
    const bool drained = std::ranges::any_of(servers, [&](const Json& server) {
      return value_of<std::string>(server, "name") == name && state_of(server) == "drained";
    });
    if (!drained) continue;
    backend["state"] = "draining";
    backend.erase("reason");
  }
}

}  // namespace

std::optional<std::string> look_at_servers(const std::string& site_path) {
  const std::optional<std::string> socket = find_member(site_path);
  if (!socket) return std::nullopt;
  const Result<std::string> answer =
      ask_patiently(*socket, R"({"command":"status"})", kServersTimeout, "the other servers");
  if (!answer || servers_in(*answer).empty()) return std::nullopt;
  return *answer;
}

bool are_fine(const std::string& servers) {
  for (const Json& server : servers_in(servers)) {
    const std::string state = state_of(server);
    if (state != "serving" && state != "drained") return false;
  }
  return true;
}

std::string render_servers(const std::string& servers, bool colours) {
  Table table({"SERVER", "ADDRESS", "ROLES", "STATE", ">RELEASE", ">UP"});
  for (const Json& server : servers_in(servers)) {
    const Json controller = controller_of(server);
    const std::string state = state_of(server);
    const bool known = controller.is_object();
    const auto roles = value_of<std::vector<std::string>>(server, "roles");
    table.row({printable(value_of<std::string>(server, "name")),
               printable(value_of<std::string>(server, "address")),
               printable(fmt::format("{}", fmt::join(roles, " "))),
               {printable(state), state == "serving" ? Colour::kGreen : Colour::kYellow},
               known ? std::to_string(value_of<int64_t>(controller, "release")) : "",
               known ? std::to_string(instances_up(controller)) : ""});
    add_notes(table, server);
  }
  return table.text(colours);
}

std::string with_servers(const std::string& own, const std::string& servers) {
  Json json = Json::parse(own, nullptr, false);
  const Json all = Json::parse(servers, nullptr, false);
  if (!json.is_object() || !all.is_object()) return own;
  json["server"] = value_of<Json>(all, "server");
  json["servers"] = value_of<Json>(all, "servers");
  mark_drained(json, servers_in(servers));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace terrace::program

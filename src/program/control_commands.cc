#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "program/commands.h"
#include "program/control.h"
#include "program/control_client.h"
#include "program/member_client.h"
#include "program/output.h"
#include "program/site_path.h"
#include "program/status.h"
#include "program/table.h"

// reload and restart: questions that the controller answers when it is done.

namespace terrace::program {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::milliseconds kProgressInterval{250};
constexpr std::chrono::seconds kStatusTimeout{5};

std::string text_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int64_t number_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<int64_t>() : 0;
}

std::vector<std::string> texts_of(const Json& json, const char* key) {
  std::vector<std::string> texts;
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array()) return texts;
  for (const Json& text : *found) {
    if (text.is_string()) texts.push_back(text.get<std::string>());
  }
  return texts;
}

bool is_ok(const Json& json) {
  const auto found = json.find("ok");
  return found != json.end() && found->is_boolean() && found->get<bool>();
}

std::optional<SiteStatus> status_now(const std::string& socket) {
  const Result<std::string> answer = ask_controller(socket, R"({"command":"status"})", kStatusTimeout);
  return answer ? parse_status(*answer) : std::nullopt;
}

// Says what happens to the instances while a restart is under way: one line per
// change, none twice.
class Progress {
 public:
  Progress(std::string socket, bool shown) : socket_(std::move(socket)), shown_(shown) { look(false); }

  void look(bool say = true) {
    if (!shown_) return;
    const std::optional<SiteStatus> status = status_now(socket_);
    if (!status) return;
    std::map<Key, std::string> seen;
    for (const InstanceStatus& instance : status->instances) {
      const Key key{instance.name, instance.generation};
      seen[key] = instance.state;
      const auto before = seen_.find(key);
      if (say && (before == seen_.end() || before->second != instance.state)) say_state(instance);
    }
    for (const auto& [key, state] : seen_) {
      if (say && !seen.contains(key)) print(fmt::format("  {}  the old one ended\n", key.first));
    }
    seen_ = std::move(seen);
  }

 private:
  using Key = std::pair<std::string, int64_t>;  // name and generation

  static void say_state(const InstanceStatus& instance) {
    const std::string name = printable(instance.name);
    if (instance.state == "starting")
      print(fmt::format("  {}  a new one starts (pid {})\n", name, instance.pid));
    if (instance.state == "up") {
      print(fmt::format("  {}  the new one is healthy after {}\n", name,
                        duration_words(instance.uptime_seconds)));
    }
    if (instance.state == "draining") {
      print(fmt::format("  {}  the old one finishes {} requests\n", name, instance.in_flight));
    }
  }

  std::string socket_;
  bool shown_;
  std::map<Key, std::string> seen_;
};

// Asks and waits; shows progress below `heading` when there is one. Empty when there was no
// answer that can be used; `status` then says how to leave.
std::optional<Json> ask(const CommandLine& line, const Json& question, std::string_view heading,
                        int& status) {
  const std::optional<std::string> site = find_site(line.file);
  if (!site) {
    status = complain(no_site_text(line.file), line.json, kExitCannotRead);
    return std::nullopt;
  }
  const std::string socket = find_control_socket(*site);
  Progress progress(socket, !heading.empty() && !line.json);
  Result<ControlQuestion> asked = ControlQuestion::ask(socket, question.dump());
  Result<std::string> answer = asked ? fail(Code::kTimeout, "answer") : std::unexpected(asked.error());
  if (asked && !line.json) print(heading);
  const auto deadline = std::chrono::steady_clock::now() + kControlAnswerTimeout;
  while (asked && !answer && answer.error().code == Code::kTimeout &&
         std::chrono::steady_clock::now() < deadline) {
    answer = asked->answer(kProgressInterval);
    progress.look();
  }
  Json json = answer ? Json::parse(*answer, nullptr, false) : Json();
  if (json.is_object()) return json;
  const bool absent = !answer && answer.error().code == Code::kNotFound;
  const std::string why =
      answer ? "the controller's answer cannot be read" : describe_control_error(answer.error(), socket);
  status = complain(why, line.json, absent ? kExitFailure : kExitCannotRead);
  return std::nullopt;
}

int show_json(const Json& answer) {
  print(answer.dump() + "\n");
  return is_ok(answer) ? kExitFine : kExitFailure;
}

int show_refusal(const Json& answer) {
  for (const std::string& diagnostic : texts_of(answer, "diagnostics"))
    fmt::print(stderr, "{}\n", diagnostic);
  complain(text_of(answer, "error"));
  return kExitFailure;
}

}  // namespace

int run_reload(const CommandLine& line) {
  int status = kExitFine;
  const std::optional<Json> answer = ask(line, {{"command", "reload"}}, "", status);
  if (!answer) return status;
  if (line.json) return show_json(*answer);
  if (!is_ok(*answer)) return show_refusal(*answer);
  const std::vector<std::string> changed = texts_of(*answer, "changed");
  const int64_t version = number_of(*answer, "version");
  if (changed.empty()) {
    print(fmt::format("nothing changed; version {} stays\n", version));
    return kExitFine;
  }
  print(fmt::format("version {} is in use:\n", version));
  for (const std::string& change : changed) print("  " + change + "\n");
  return kExitFine;
}

// On a server of several: one of them after the other.
int restart_everywhere(const CommandLine& line) {
  const auto begin = std::chrono::steady_clock::now();
  int status = kExitFine;
  const auto show = [&](const std::string& said) {
    const std::optional<ControlProgress> progress = parse_progress(said);
    if (progress && !line.json)
      print(fmt::format("  {} {}\n", printable(progress->step), printable(progress->line)));
  };
  const Json question = {{"command", "restart"}, {"what", line.what}};
  const std::optional<std::string> answer = ask_member(line, question.dump(), status, show);
  if (!answer) return status;
  if (line.json) return print(*answer + "\n"), kExitFine;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  print(fmt::format("{} replaced in {}\n", number_of(Json::parse(*answer, nullptr, false), "instances"),
                    duration_words(seconds)));
  return kExitFine;
}

int run_restart(const CommandLine& line) {
  const std::optional<std::string> site = find_site(line.file);
  if (site && find_member(*site)) return restart_everywhere(line);
  const auto begin = std::chrono::steady_clock::now();
  int status = kExitFine;
  const std::optional<Json> answer = ask(line, {{"command", "restart"}, {"what", line.what}},
                                         "replacing the instances of the app one by one:\n", status);
  if (!answer) return status;
  if (line.json) return show_json(*answer);
  if (!is_ok(*answer)) return show_refusal(*answer);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  print(fmt::format("{} replaced in {}\n", number_of(*answer, "instances"), duration_words(seconds)));
  return kExitFine;
}

}  // namespace terrace::program

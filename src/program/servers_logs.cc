#include "program/servers_logs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "program/json_value.h"
#include "program/log_line.h"
#include "program/member_client.h"
#include "program/output.h"
#include "program/table.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

constexpr int kLinesDefault = 20;
constexpr std::chrono::seconds kFollowPause{1};

struct ServerLine {
  std::string server;
  std::string log;
  std::string text;
  std::string time;
  size_t at = 0;  // among those of its time, as they came
};

Json question_of(const CommandLine& line, const LogFilter& filter) {
  const bool none = !line.log_access && !line.log_app && !line.log_terrace;
  Json logs = Json::array();
  if (line.log_app || none) logs.push_back("app");
  if (line.log_access) logs.push_back("access");
  if (line.log_terrace) logs.push_back("terrace");
  Json question = {{"command", "logs"},     {"server", line.server},     {"logs", logs},
                   {"since", filter.since}, {"until", filter.until},     {"level", line.level},
                   {"grep", filter.text},   {"instance", line.instance}, {"release", line.release}};
  if (line.lines >= 0 || line.since.empty()) question["lines"] = line.lines < 0 ? kLinesDefault : line.lines;
  return question;
}

// {"server": "web2", "lines": "app\tTEXT\n…"}
void take(std::vector<ServerLine>& into, const std::string& said) {
  const Json json = Json::parse(said, nullptr, false);
  if (!json.is_object()) return;
  const auto server = value_of<std::string>(json, "server");
  const auto lines = value_of<std::string>(json, "lines");
  for (size_t at = 0; at < lines.size();) {
    const size_t end = std::min(lines.find('\n', at), lines.size());
    const std::string_view one = std::string_view(lines).substr(at, end - at);
    const size_t tab = one.find('\t');
    at = end + 1;
    if (tab == std::string_view::npos) continue;
    const std::string text(one.substr(tab + 1));
    into.push_back(
        {server, std::string(one.substr(0, tab)), text, std::string(time_of_log_line(text)), into.size()});
  }
}

std::string shown(const CommandLine& line, const ServerLine& one, bool several) {
  if (line.json) {
    Json json = Json::parse(log_line_json(one.log, one.text), nullptr, false);
    if (!json.is_object()) json = {{"text", one.text}};
    json["server"] = one.server;
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  return fmt::format("{}  {}{}\n", one.server, several ? fmt::format("{:<7}  ", one.log) : "", one.text);
}

// Lines that were shown already have the newest time that was seen.
class Seen {
 public:
  bool is_new(const ServerLine& one) const {
    return one.time > newest_ || (one.time == newest_ && !lines_.contains(key(one)));
  }
  void add(const ServerLine& one) {
    if (one.time > newest_) lines_.clear();
    newest_ = std::max(newest_, one.time);
    lines_.insert(key(one));
  }
  const std::string& newest() const { return newest_; }

 private:
  static std::string key(const ServerLine& one) { return one.server + "\n" + one.log + "\n" + one.text; }
  std::string newest_;
  std::set<std::string> lines_;
};

}  // namespace

int run_logs_of_servers(const CommandLine& line, const LogFilter& filter) {
  Json question = question_of(line, filter);
  const bool several = question["logs"].size() > 1;
  std::vector<std::string> said_unanswered;
  Seen seen;
  for (bool first = true;; first = false) {
    std::vector<ServerLine> lines;
    int status = kExitFine;
    const auto before = [&](const std::string& said) { take(lines, said); };
    const std::optional<std::string> answer = ask_member(line, question.dump(), status, before);
    if (!answer) return status;
    std::ranges::sort(lines, {},
                      [](const ServerLine& one) { return std::pair(std::string_view(one.time), one.at); });
    std::string out;
    for (const ServerLine& one : lines) {
      if (!first && !seen.is_new(one)) continue;
      out += shown(line, one, several);
      seen.add(one);
    }
    if (!out.empty()) print(out);
    const auto unanswered =
        value_of<std::vector<std::string>>(Json::parse(*answer, nullptr, false), "unanswered");
    if (unanswered != said_unanswered && !unanswered.empty())
      complain(printable(fmt::format("no answer from {}", fmt::join(unanswered, ", "))));
    said_unanswered = unanswered;
    if (!line.follow) return unanswered.empty() ? kExitFine : kExitFailure;
    if (!seen.newest().empty()) question["since"] = seen.newest();
    question.erase("lines");
    if (seen.newest().empty()) question["lines"] = kLinesDefault;
    std::this_thread::sleep_for(kFollowPause);
  }
}

}  // namespace terrace::program

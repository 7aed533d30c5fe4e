#include <chrono>
#include <thread>

#include "program/commands.h"
#include "program/control_client.h"
#include "program/output.h"
#include "program/servers_status.h"
#include "program/site_path.h"
#include "program/status.h"
#include "program/table.h"

namespace terrace::program {
namespace {

constexpr std::chrono::seconds kAnswerTimeout{5};
constexpr std::chrono::seconds kWatchInterval{1};

struct Look {
  std::string answer;  // the line of the controller
  SiteStatus status;
  std::chrono::steady_clock::time_point when;
};

// Requests per second between two looks; the counts of a new worker start again.
std::optional<double> rate_between(const std::optional<Look>& before, const Look& now) {
  if (!before || !before->status.totals || !now.status.totals) return std::nullopt;
  const int64_t requests = now.status.totals->requests - before->status.totals->requests;
  const double seconds = std::chrono::duration<double>(now.when - before->when).count();
  if (requests < 0 || seconds <= 0) return std::nullopt;
  return static_cast<double>(requests) / seconds;
}

// Empty when the answer cannot be used; `status` then says how to leave.
std::optional<Look> look(const CommandLine& line, const std::string& socket, int& status) {
  Result<std::string> answer =
      ask_patiently(socket, R"({"command":"status"})", kAnswerTimeout, "the controller");
  if (!answer) {
    const bool absent = answer.error().code == Code::kNotFound;
    status = complain(describe_control_error(answer.error(), socket), line.json,
                      absent ? kExitFailure : kExitCannotRead);
    return std::nullopt;
  }
  std::optional<SiteStatus> parsed = parse_status(*answer);
  if (!parsed) {
    status = complain("the controller's answer cannot be read", line.json, kExitCannotRead);
    return std::nullopt;
  }
  return Look{std::move(*answer), std::move(*parsed), std::chrono::steady_clock::now()};
}

void show(const CommandLine& line, const std::optional<Look>& before, const Look& now,
          const std::optional<std::string>& servers) {
  if (line.json) return print(now.answer + "\n");
  const bool colours = wants_colours();
  std::string text = render_status(now.status, colours, rate_between(before, now));
  if (servers) text += "\n" + render_servers(*servers, colours);
  // Home, the text, then clear what an older, longer one left.
  if (line.watch && colours) text = "\x1b[H\x1b[2J" + text;
  if (line.watch && !colours && before) text = "\n" + text;
  print(text);
}

// What the other servers say changes what is to be thought of this one's backends.
void add_servers(Look& now, const std::string& servers) {
  now.answer = with_servers(now.answer, servers);
  if (std::optional<SiteStatus> parsed = parse_status(now.answer)) now.status = std::move(*parsed);
}

}  // namespace

int run_status(const CommandLine& line) {
  const std::optional<std::string> site = find_site(line.file);
  if (!site) return complain(no_site_text(line.file), line.json, kExitCannotRead);
  const std::string socket = find_control_socket(*site);
  int status = kExitFine;
  std::optional<Look> before;
  while (true) {
    std::optional<Look> now = look(line, socket, status);
    const std::optional<std::string> servers = now ? look_at_servers(*site) : std::nullopt;
    if (now && servers) add_servers(*now, *servers);
    if (now) status = is_fine(now->status) && (!servers || are_fine(*servers)) ? kExitFine : kExitFailure;
    if (now) show(line, before, *now, servers);
    if (!line.watch || (!now && !before)) return status;
    before = std::move(now);
    std::this_thread::sleep_for(kWatchInterval);
  }
}

}  // namespace terrace::program

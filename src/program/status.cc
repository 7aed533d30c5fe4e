#include "program/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "program/table.h"
#include "program/version.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;

// The value of `key`, or the default one when it is absent or of another type:
// an older command line must still read a newer controller.
template <class T>
T get(const Json& object, const char* key, T otherwise = {}) {
  const auto found = object.find(key);
  if (found == object.end()) return otherwise;
  if constexpr (std::is_same_v<T, std::string>) {
    return found->is_string() ? found->get<T>() : otherwise;
  } else if constexpr (std::is_same_v<T, bool>) {
    return found->is_boolean() ? found->get<T>() : otherwise;
  } else {
    return found->is_number() ? found->get<T>() : otherwise;
  }
}

const Json& child(const Json& object, const char* key) {
  static const Json kNone = Json::object();
  const auto found = object.find(key);
  return found != object.end() && (found->is_object() || found->is_array()) ? *found : kNone;
}

ListenerStatus read_listener(const Json& json) {
  return {.purpose = get<std::string>(json, "purpose"),
          .address = get<std::string>(json, "address"),
          .bound = get<std::string>(json, "bound"),
          .error = get<std::string>(json, "error")};
}

BackendStatus read_backend(const Json& json) {
  return {.pool = get<std::string>(json, "pool"),
          .name = get<std::string>(json, "name"),
          .state = get<std::string>(json, "state"),
          .reason = get<std::string>(json, "reason"),
          .seconds = get<double>(json, "seconds"),
          .weight = get<int64_t>(json, "weight"),
          .standby = get<bool>(json, "standby")};
}

InstanceStatus read_instance(const Json& json) {
  InstanceStatus instance{.name = get<std::string>(json, "name"),
                          .generation = get<int64_t>(json, "generation"),
                          .pid = get<int64_t>(json, "pid"),
                          .state = get<std::string>(json, "state"),
                          .address = get<std::string>(json, "address"),
                          .uptime_seconds = get<double>(json, "uptime_seconds"),
                          .restarts = get<int64_t>(json, "restarts"),
                          .last_exit = get<std::string>(json, "last_exit"),
                          .requests = get<int64_t>(json, "requests"),
                          .failures = get<int64_t>(json, "failures"),
                          .in_flight = get<int64_t>(json, "in_flight")};
  if (json.contains("retry_seconds")) instance.retry_seconds = get<double>(json, "retry_seconds");
  for (const Json& line : child(json, "last_output")) {
    if (line.is_string()) instance.last_output.push_back(line.get<std::string>());
  }
  return instance;
}

TotalsStatus read_totals(const Json& json) {
  TotalsStatus totals{.connections_open = get<int64_t>(json, "connections_open"),
                      .requests = get<int64_t>(json, "requests"),
                      .in_flight = get<int64_t>(json, "in_flight"),
                      .queued = get<int64_t>(json, "queued"),
                      .bytes_sent = get<int64_t>(json, "bytes_sent"),
                      .duration_seconds = get<double>(json, "duration_seconds")};
  for (const auto& [name, count] : child(json, "statuses").items()) {
    if (count.is_number()) totals.statuses[name] = count.get<int64_t>();
  }
  return totals;
}

BackupStatus read_backup(const Json& json) {
  BackupStatus backup{.running = get<bool>(json, "running"),
                      .name = get<std::string>(json, "name"),
                      .age_seconds = get<double>(json, "age_seconds"),
                      .bytes = get<int64_t>(json, "bytes"),
                      .error = get<std::string>(json, "error")};
  if (json.contains("next_seconds")) backup.next_seconds = get<double>(json, "next_seconds");
  return backup;
}

void read_processes(const Json& json, SiteStatus& status) {
  status.supervisor_pid = get<int64_t>(child(json, "supervisor"), "pid");
  const Json& controller = child(json, "controller");
  status.controller_pid = get<int64_t>(controller, "pid");
  status.controller_starts = get<int64_t>(controller, "starts");
  const Json& member = child(json, "member");
  status.member_pid = get<int64_t>(member, "pid");
  status.member_starts = get<int64_t>(member, "starts");
  const Json& worker = child(json, "worker");
  status.worker_pid = get<int64_t>(worker, "pid");
  status.worker_starts = get<int64_t>(worker, "starts");
  status.worker_connected = get<bool>(worker, "connected");
  status.workers_retiring = get<int64_t>(worker, "retiring");
  const Json& program = child(json, "program");
  status.program_version = get<std::string>(program, "version");
  status.upgrades = get<int64_t>(program, "upgrades");
}

// Up, or on its way there for the first time.
bool is_fine(const InstanceStatus& instance) {
  return instance.state == "up" || instance.state == "draining" || instance.state == "stopping" ||
         instance.state == "ready" || instance.state == "standby" ||
         (instance.state == "starting" && instance.restarts == 0);
}

Colour colour_of_state(const std::string& state) {
  if (state == "up" || state == "serving") return Colour::kGreen;
  if (state == "crash-loop" || state == "waiting" || state == "down" || state == "ejected")
    return Colour::kRed;
  return Colour::kYellow;
}

std::string pid_words(int64_t pid) { return pid > 0 ? std::to_string(pid) : "-"; }

std::string processes_text(const SiteStatus& status, bool colours) {
  Table table({"PROCESS", ">PID", ">STARTS", ""});
  table.row({"supervisor", pid_words(status.supervisor_pid), "1", ""});
  table.row({"controller", pid_words(status.controller_pid), std::to_string(status.controller_starts), ""});
  const char* worker = status.worker_connected ? "" : "does not answer";
  table.row(
      {"worker", pid_words(status.worker_pid), std::to_string(status.worker_starts), {worker, Colour::kRed}});
  if (status.workers_retiring > 0)
    table.row(
        {"", "", "", fmt::format("{} of before an upgrade finish what they have", status.workers_retiring)});
  if (status.member_starts > 0)
    table.row({"member", pid_words(status.member_pid), std::to_string(status.member_starts), ""});
  return table.text(colours);
}

std::string listeners_text(const SiteStatus& status, bool colours) {
  if (status.listeners.empty()) return "";
  Table table({"LISTENER", "ADDRESS", ""});
  for (const ListenerStatus& listener : status.listeners) {
    const std::string& address = listener.bound.empty() ? listener.address : listener.bound;
    table.row({listener.purpose, address, {printable(listener.error), Colour::kRed}});
  }
  return "\n" + table.text(colours);
}

std::vector<std::string> notes_of(const InstanceStatus& instance) {
  std::vector<std::string> notes;
  const bool down = !is_fine(instance);
  if (!instance.last_exit.empty() && down) notes.push_back("it ended with " + printable(instance.last_exit));
  if (instance.retry_seconds && down) {
    notes.push_back("it starts again in " + duration_words(*instance.retry_seconds));
  }
  if (!down) return notes;
  for (const std::string& line : instance.last_output) notes.push_back("| " + printable(line));
  return notes;
}

std::string instances_text(const SiteStatus& status, bool colours) {
  if (status.instances.empty()) return "";
  Table table({"INSTANCE", "STATE", ">PID", ">UPTIME", ">RESTARTS", ">REQUESTS", ">FAILURES", ">IN FLIGHT",
               "ADDRESS"});
  for (const InstanceStatus& instance : status.instances) {
    table.row({instance.name,
               {instance.state, colour_of_state(instance.state)},
               pid_words(instance.pid),
               instance.pid > 0 ? duration_words(instance.uptime_seconds) : "-",
               {std::to_string(instance.restarts), instance.restarts > 0 ? Colour::kYellow : Colour::kNone},
               std::to_string(instance.requests),
               {std::to_string(instance.failures), instance.failures > 0 ? Colour::kYellow : Colour::kNone},
               std::to_string(instance.in_flight),
               instance.address});
    for (const std::string& note : notes_of(instance)) table.note(note);
  }
  return "\n" + table.text(colours);
}

// Who should serve and does not. One that is drained was told to.
bool is_away(const BackendStatus& backend) { return backend.state == "down" || backend.state == "ejected"; }

std::string backends_text(const SiteStatus& status, bool colours) {
  if (status.backends.empty()) return "";
  Table table({"POOL", "BACKEND", "STATE", ">FOR", ">WEIGHT", ""});
  for (const BackendStatus& backend : status.backends) {
    table.row({backend.pool.empty() ? "-" : printable(backend.pool),
               printable(backend.name),
               {printable(backend.state), colour_of_state(backend.state)},
               duration_words(backend.seconds),
               std::to_string(backend.weight),
               backend.standby ? "stands by" : ""});
    if (!backend.reason.empty()) table.note(printable(backend.reason));
  }
  return "\n" + table.text(colours);
}

std::string requests_text(const SiteStatus& status, bool colours, std::optional<double> rate) {
  if (!status.totals) return "";
  const TotalsStatus& totals = *status.totals;
  const auto count = [&](const char* name) {
    const auto found = totals.statuses.find(name);
    return found == totals.statuses.end() ? int64_t{0} : found->second;
  };
  const double mean =
      totals.requests > 0 ? totals.duration_seconds * 1000 / static_cast<double>(totals.requests) : 0;
  const int64_t errors = count("5xx");
  Table table({">REQUESTS", ">PER SECOND", ">2XX", ">3XX", ">4XX", ">5XX", ">MEAN", ">SENT", ">IN FLIGHT",
               ">QUEUED", ">CONNECTIONS"});
  table.row({std::to_string(totals.requests),
             rate ? fmt::format("{:.1f}", *rate) : "-",
             std::to_string(count("2xx")),
             std::to_string(count("3xx")),
             std::to_string(count("4xx")),
             {std::to_string(errors), errors > 0 ? Colour::kYellow : Colour::kNone},
             fmt::format("{:.1f} ms", mean),
             bytes_words(totals.bytes_sent),
             std::to_string(totals.in_flight),
             std::to_string(totals.queued),
             std::to_string(totals.connections_open)});
  return "\n" + table.text(colours);
}

std::string next_words(const BackupStatus& backup) {
  if (backup.running) return "now";
  if (!backup.next_seconds) return "never: [db] backup is off";
  return *backup.next_seconds < 1 ? "soon" : "in " + duration_words(*backup.next_seconds);
}

std::string backup_text(const SiteStatus& status, bool colours) {
  if (!status.backup) return "";
  const BackupStatus& backup = *status.backup;
  const bool some = !backup.name.empty();
  Table table({"BACKUP", ">AGE", ">SIZE", "NEXT"});
  table.row({some ? printable(backup.name) : "none yet", some ? duration_words(backup.age_seconds) : "-",
             some ? bytes_words(backup.bytes) : "-", next_words(backup)});
  if (!backup.error.empty())
    table.note(coloured("the last attempt failed: " + printable(backup.error), Colour::kRed, colours));
  return "\n" + table.text(colours);
}

// What an operator should know about how the instances are kept.
std::string protection_text(const SiteStatus& status) {
  std::string text;
  if (status.isolation == "subreaper") {
    text += "\nNo user namespaces on this host: instances are kept together by a guardian process.\n";
  }
  if (!status.error.empty()) text += "\nThe last reload was refused: " + printable(status.error) + "\n";
  if (!status.app_error.empty() && status.instances.empty()) {
    text += "\nThe application does not run: " + printable(status.app_error) + "\n";
    text += "`terrace logs` says more; `terrace reload` tries again.\n";
  } else if (!status.app_error.empty()) {
    text += "\nThe last change of [app] failed: " + printable(status.app_error) + "\n";
    text += "The instances before it serve; `terrace logs` says more.\n";
  }
  return text;
}

std::string stray_writes_text(const SiteStatus& status) {
  constexpr size_t kShown = 10;
  if (status.stray_writes.empty()) return "";
  std::string text =
      "\nThe application wrote outside of [app] writable. This is on one server only, and gone with the next "
      "deploy:\n";
  const size_t shown = std::min(status.stray_writes.size(), kShown);
  for (size_t i = 0; i < shown; ++i) text += "  " + printable(status.stray_writes[i]) + "\n";
  if (shown < status.stray_writes.size())
    text += fmt::format("  and {} more: `terrace logs` has all\n", status.stray_writes.size() - shown);
  return text;
}

}  // namespace

std::optional<SiteStatus> parse_status(std::string_view answer) {
  const Json json = Json::parse(answer, nullptr, false);
  if (!json.is_object() || !get<bool>(json, "ok")) return std::nullopt;
  SiteStatus status{.site = get<std::string>(json, "site"),
                    .path = get<std::string>(json, "path"),
                    .version = get<int64_t>(json, json.contains("applied") ? "applied" : "version"),
                    .state = get<std::string>(json, "state"),
                    .release = get<int64_t>(json, "release"),
                    .deploying = get<int64_t>(child(json, "deploy"), "release"),
                    .deploy_phase = get<std::string>(child(json, "deploy"), "phase"),
                    .error = get<std::string>(json, "error"),
                    .app_error = get<std::string>(json, "app_error"),
                    .isolation = get<std::string>(json, "isolation"),
                    .limits = get<std::string>(json, "limits")};
  read_processes(json, status);
  for (const Json& path : child(json, "stray_writes")) {
    if (path.is_string()) status.stray_writes.push_back(path.get<std::string>());
  }
  for (const Json& listener : child(json, "listeners")) status.listeners.push_back(read_listener(listener));
  for (const Json& instance : child(json, "instances")) status.instances.push_back(read_instance(instance));
  for (const Json& backend : child(json, "backends")) status.backends.push_back(read_backend(backend));
  if (json.contains("backup")) status.backup = read_backup(child(json, "backup"));
  if (json.contains("totals")) status.totals = read_totals(child(json, "totals"));
  return status;
}

bool is_fine(const SiteStatus& status) {
  return status.state == "serving" && status.worker_connected && status.error.empty() &&
         status.app_error.empty() && (!status.backup || status.backup->error.empty()) &&
         std::ranges::none_of(status.backends, is_away) &&
         std::ranges::all_of(status.listeners, [](const ListenerStatus& l) { return l.error.empty(); }) &&
         std::ranges::all_of(status.instances, [](const InstanceStatus& i) { return is_fine(i); });
}

std::string render_status(const SiteStatus& status, bool colours, std::optional<double> rate) {
  std::string text = coloured(printable(status.site), Colour::kBold, colours);
  text += "  " + coloured(status.state, colour_of_state(status.state), colours);
  text += fmt::format("  {}, version {}{}  terrace {}\n\n", printable(status.path), status.version,
                      status.release == 0 ? "" : fmt::format(", release {}", status.release),
                      status.program_version.empty() ? kVersion : printable(status.program_version));
  if (status.deploying != 0)
    text += fmt::format("The deploy of release {} is at `{}`.\n\n", status.deploying,
                        printable(status.deploy_phase));
  text += processes_text(status, colours);
  text += listeners_text(status, colours);
  text += instances_text(status, colours);
  text += backends_text(status, colours);
  text += requests_text(status, colours, rate);
  text += backup_text(status, colours);
  text += protection_text(status);
  text += stray_writes_text(status);
  return text;
}

std::string duration_words(double seconds) {
  if (seconds < 10) return fmt::format("{:.1f} s", std::max(seconds, 0.0));
  const auto whole = static_cast<int64_t>(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  if (whole < 24 * 3600) return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
  return fmt::format("{} d {} h", whole / (24 * 3600), whole % (24 * 3600) / 3600);
}

std::string bytes_words(int64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace terrace::program

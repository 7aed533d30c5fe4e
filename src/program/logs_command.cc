#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "program/commands.h"
#include "program/log_history.h"
#include "program/log_line.h"
#include "program/member_client.h"
#include "program/output.h"
#include "program/servers_logs.h"
#include "program/site_path.h"

namespace terrace::program {
namespace {

constexpr std::chrono::milliseconds kLookInterval{200};
constexpr size_t kLinesDefault = 20;
constexpr size_t kOutputBytes = 64 * 1024;  // then it is printed

// One line with the log that it is from.
struct Shown {
  std::string log;
  std::string text;
};

// The filter that was asked for, or what is wrong with it.
std::string filter_of(const CommandLine& line, LogFilter& filter) {
  const WallTime now = std::chrono::system_clock::now();
  const auto take = [&](const std::string& text, std::string& into) {
    const std::optional<WallTime> time = text.empty() ? now : time_meant(text, now);
    if (time && !text.empty()) into = log_time(*time);
    return time.has_value();
  };
  for (const auto& [text, into] :
       {std::pair(line.since, &filter.since), std::pair(line.until, &filter.until)}) {
    if (!take(text, *into))
      return fmt::format("`{}` is no time: 10m, 2h, 3d, 2026-11-23 or 2026-11-23T10:00 (UTC)", text);
  }
  filter.instance = line.instance;
  filter.release = static_cast<uint32_t>(line.release);
  filter.text = line.grep;
  filter.level = level_of_word(line.level);
  return "";
}

std::vector<std::unique_ptr<LogHistory>> chosen_logs(const CommandLine& line, const std::string& folder,
                                                     const LogFilter& filter) {
  std::vector<std::unique_ptr<LogHistory>> logs;
  const auto choose = [&](bool chosen, const char* name) {
    if (chosen) logs.push_back(std::make_unique<LogHistory>(folder, name, filter));
  };
  const bool none = !line.log_access && !line.log_app && !line.log_terrace;
  choose(line.log_app || none, "app");
  choose(line.log_access, "access");
  choose(line.log_terrace, "terrace");
  return logs;
}

void append(std::string& out, const CommandLine& line, bool several, std::string_view log,
            std::string_view text) {
  if (line.json) {
    out += log_line_json(log, text);
  } else {
    if (several) out += fmt::format("{:<7}  ", log);
    out += text;
  }
  out += '\n';
}

// Lines of several logs in the order of their times.
void show_in_order(const CommandLine& line, bool several, const std::vector<Shown>& lines) {
  std::vector<std::pair<std::string_view, size_t>> order;
  for (const Shown& one : lines) order.emplace_back(time_of_log_line(one.text), order.size());
  if (several) std::ranges::sort(order);
  std::string out;
  for (const auto& [time, at] : order) append(out, line, several, lines[at].log, lines[at].text);
  if (!out.empty()) print(out);
}

// Everything, however much it is: one line of each log at a time.
void show_all(const CommandLine& line, std::vector<std::unique_ptr<LogHistory>>& logs) {
  struct Head {
    LogHistory* log;
    std::string text;
  };
  std::vector<Head> heads;
  for (const auto& log : logs) {
    if (std::string text; log->next(text)) heads.push_back({log.get(), std::move(text)});
  }
  std::string out;
  while (!heads.empty()) {
    const auto oldest =
        std::ranges::min_element(heads, {}, [](const Head& head) { return time_of_log_line(head.text); });
    append(out, line, logs.size() > 1, oldest->log->name(), oldest->text);
    if (!oldest->log->next(oldest->text)) heads.erase(oldest);
    if (out.size() > kOutputBytes) print(std::exchange(out, {}));
  }
  if (!out.empty()) print(out);
}

void take(std::vector<Shown>& into, const LogHistory& log, std::vector<std::string> lines) {
  for (std::string& text : lines) into.push_back({log.name(), std::move(text)});
}

// What is there already. False when there is nothing to show, now or later.
bool show_past(const CommandLine& line, std::vector<std::unique_ptr<LogHistory>>& logs) {
  const bool all = line.lines < 0 && !line.since.empty();
  const size_t count = line.lines < 0 ? kLinesDefault : static_cast<size_t>(line.lines);
  std::vector<Shown> lines;
  bool any = false;
  for (const auto& log : logs) {
    Error error;
    bool opened = false;
    if (all) {
      const Result<void> begun = log->begin();
      opened = begun.has_value();
      if (!begun) error = begun.error();
    } else {
      Result<std::vector<std::string>> newest = log->newest(count);
      opened = newest.has_value();
      if (newest)
        take(lines, *log, std::move(*newest));
      else
        error = newest.error();
    }
    const bool waits = !opened && line.follow && error.code == Code::kNotFound;
    if (!opened && !waits)
      complain(error.code == Code::kNotFound ? fmt::format("no {} yet", log->path())
                                             : log->path() + ": " + describe(error));
    any = any || opened || waits;
  }
  if (all) show_all(line, logs);
  show_in_order(line, logs.size() > 1, lines);
  return any;
}

}  // namespace

int run_logs(const CommandLine& line) {
  const std::optional<std::string> site = find_site(line.file);
  if (!site) return complain(no_site_text(line.file), line.json, kExitCannotRead);
  LogFilter filter;
  if (const std::string wrong = filter_of(line, filter); !wrong.empty())
    return complain(wrong, line.json, kExitCannotRead);
  if (find_member(*site)) return run_logs_of_servers(line, filter);
  if (!line.server.empty())
    return complain("this server is none of several: leave --server out", line.json, kExitCannotRead);
  std::vector<std::unique_ptr<LogHistory>> logs = chosen_logs(line, find_log_folder(*site), filter);
  if (!show_past(line, logs)) return kExitCannotRead;
  while (line.follow) {
    std::vector<Shown> lines;
    for (const auto& log : logs) take(lines, *log, log->added());
    show_in_order(line, logs.size() > 1, lines);
    std::this_thread::sleep_for(kLookInterval);
  }
  return kExitFine;
}

}  // namespace terrace::program

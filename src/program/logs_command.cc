#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "program/commands.h"
#include "program/log_file.h"
#include "program/log_line.h"
#include "program/output.h"
#include "program/site_path.h"

namespace terrace::program {
namespace {

constexpr std::chrono::milliseconds kLookInterval{200};

// One of the files to show.
struct Shown {
  std::string name;  // "app"
  std::string path;
  LogFile file;
};

std::vector<Shown> chosen_logs(const CommandLine& line, const std::string& folder) {
  std::vector<Shown> logs;
  const auto choose = [&](bool chosen, const char* name) {
    const std::string path = fmt::format("{}/{}.log", folder, name);
    if (chosen) logs.push_back({name, path, LogFile(path)});
  };
  const bool none = !line.log_access && !line.log_app && !line.log_terrace;
  choose(line.log_app || none, "app");
  choose(line.log_access, "access");
  choose(line.log_terrace, "terrace");
  return logs;
}

void show(const CommandLine& line, const Shown& log, bool several, const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) {
    if (line.json) {
      out += log_line_json(log.name, text);
    } else {
      if (several) out += fmt::format("{:<7}  ", log.name);
      out += text;
    }
    out += '\n';
  }
  if (!out.empty()) print(out);
}

LogFile::Wanted wanted_of(const CommandLine& line) {
  if (line.instance.empty()) return [](std::string_view) { return true; };
  return [instance = line.instance](std::string_view text) { return log_line_is_of(text, instance); };
}

// The newest lines, those of the file before the last rotation included.
Result<std::vector<std::string>> newest_of(Shown& log, size_t count, const LogFile::Wanted& wanted) {
  Result<std::vector<std::string>> lines = log.file.newest(count, wanted);
  if (!lines || lines->size() >= count) return lines;
  const Result<std::vector<std::string>> older =
      LogFile(log.path + ".1").newest(count - lines->size(), wanted);
  if (older) lines->insert(lines->begin(), older->begin(), older->end());
  return lines;
}

}  // namespace

int run_logs(const CommandLine& line) {
  const std::optional<std::string> site = find_site(line.file);
  if (!site) return complain(no_site_text(line.file), line.json, kExitCannotRead);
  std::vector<Shown> logs = chosen_logs(line, find_log_folder(*site));
  const LogFile::Wanted wanted = wanted_of(line);
  bool any = false;
  for (Shown& log : logs) {
    const Result<std::vector<std::string>> newest = newest_of(log, static_cast<size_t>(line.lines), wanted);
    if (newest) show(line, log, logs.size() > 1, *newest);
    const bool waits = !newest && line.follow && newest.error().code == Code::kNotFound;
    if (!newest && !waits)
      complain(newest.error().code == Code::kNotFound ? fmt::format("no {} yet", log.path)
                                                      : log.path + ": " + describe(newest.error()));
    any = any || newest || waits;
  }
  if (!any) return kExitCannotRead;
  while (line.follow) {
    for (Shown& log : logs) show(line, log, logs.size() > 1, log.file.added(wanted));
    std::this_thread::sleep_for(kLookInterval);
  }
  return kExitFine;
}

}  // namespace terrace::program

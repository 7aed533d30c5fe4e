#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>

#include "database/backups.h"
#include "program/commands.h"
#include "program/control_client.h"
#include "program/output.h"
#include "program/site_path.h"
#include "program/status.h"
#include "program/table.h"
#include "topology/load.h"

// backup and restore. The list is read from the folder, so that it needs no running
// site; the work is done by the controller.

namespace terrace::program {
namespace {

using Json = nlohmann::json;
using database::BackupFile;
using database::BackupKind;

constexpr std::chrono::hours kAnswerTimeout{4};

struct Known {
  std::string site_path;
  std::string folder;
  std::string name;  // of the site
  std::vector<BackupFile> backups;
};

double age_of(const BackupFile& file) {
  return std::chrono::duration<double>(std::chrono::system_clock::now() - file.made).count();
}

// "2026-11-23 02:00:00 UTC"
std::string time_words(WallTime time) {
  const std::time_t since = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&since, &parts);
  char text[40];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

constexpr const char* kNoDatabase =
    "Terrace runs no database for this site: [db] url names one elsewhere, which has tools of its own for "
    "backups, or [db] engine is \"none\"";

int fail(const CommandLine& line, const std::string& text, int status = kExitFailure) {
  return complain(text, line.json, status);
}

// Empty when it cannot be known; `status` then says how to leave.
std::optional<Known> look(const CommandLine& line, int& status) {
  const std::optional<std::string> path = find_site(line.file);
  if (!path) {
    status = fail(line, no_site_text(line.file), kExitCannotRead);
    return std::nullopt;
  }
  // The controller reads the app's secrets; who asks may not have them.
  topology::LoadOptions options;
  options.shown_as = shown_site(line.file, *path);
  options.resolve = topology::without_secrets;
  options.look_at_folders = false;
  const topology::LoadedSite loaded = topology::load_site(*path, options);
  if (!loaded.site) {
    fmt::print(stderr, "{}", loaded.text);
    status = fail(line, "the site file has errors", loaded.unreadable ? kExitCannotRead : kExitFailure);
    return std::nullopt;
  }
  if (loaded.site->db.engine != topology::DbEngine::kSqlite) {
    status = fail(line, kNoDatabase);
    return std::nullopt;
  }
  Known known{.site_path = *path,
              .folder = find_folders(*path).state + "/backups",
              .name = loaded.site->site.name,
              .backups = {}};
  Result<std::vector<BackupFile>> backups = database::list_backups(known.folder, known.name);
  if (!backups) {
    const char* hint =
        backups.error().system == EACCES ? "; it belongs to the application's user: try with sudo" : "";
    status = fail(line, fmt::format("cannot read {}: {}{}", known.folder, describe(backups.error()), hint),
                  kExitCannotRead);
    return std::nullopt;
  }
  known.backups = std::move(*backups);
  return known;
}

Json json_of(const BackupFile& file) {
  return {{"backup", file.name},
          {"kind", file.kind == BackupKind::kBackup ? "backup" : "before-restore"},
          {"time", time_words(file.made)},
          {"age_seconds", age_of(file)},
          {"bytes", file.bytes}};
}

int show_list(const CommandLine& line, const Known& known) {
  if (line.json) {
    Json list = Json::array();
    for (const BackupFile& file : known.backups) list.push_back(json_of(file));
    const Json whole = {{"ok", true}, {"folder", known.folder}, {"backups", list}};
    print(whole.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    return kExitFine;
  }
  if (known.backups.empty()) {
    print("there is no backup yet: `terrace backup` makes one\n");
    return kExitFine;
  }
  Table table({"BACKUP", "TIME", ">AGE", ">SIZE"});
  for (const BackupFile& file : known.backups) {
    table.row({file.name, time_words(file.made), duration_words(std::max(0.0, age_of(file))),
               bytes_words(file.bytes)});
  }
  print(table.text(wants_colours()) + "\nin " + known.folder + "\n");
  return kExitFine;
}

// The controller's answer, when there is one and it says that all went well; its progress is
// shown on the way.
std::optional<Json> ask(const CommandLine& line, const Known& known, const Json& question, int& status) {
  const std::string socket = find_control_socket(known.site_path);
  const auto show = [&](const ControlProgress& progress) {
    if (!line.json) print("  " + printable(progress.line) + "\n");
  };
  const Result<std::string> answer = follow_controller(socket, question.dump(), kAnswerTimeout, show);
  if (!answer) {
    const bool absent = answer.error().code == Code::kNotFound;
    status =
        fail(line, describe_control_error(answer.error(), socket), absent ? kExitFailure : kExitCannotRead);
    return std::nullopt;
  }
  const Json json = Json::parse(*answer, nullptr, false);
  if (!json.is_object()) {
    status = fail(line, "the controller's answer cannot be read", kExitCannotRead);
    return std::nullopt;
  }
  const bool ok = json.value("ok", Json()) == Json(true);
  status = ok ? kExitFine : kExitFailure;
  if (line.json) print(json.dump() + "\n");
  if (!line.json && !ok) complain(printable(json.value("error", "")));
  return ok && !line.json ? std::optional(json) : std::nullopt;
}

// What a restore would do: said, and not done.
int show_loss(const CommandLine& line, const BackupFile& file) {
  const std::string text = fmt::format(
      "this puts the backup of {} ({} old, {}) in the place of the database: what was written since "
      "then is gone from the site. Nothing is done yet: add --replace",
      time_words(file.made), duration_words(std::max(0.0, age_of(file))), bytes_words(file.bytes));
  if (!line.json) return fail(line, text);
  print(Json{{"ok", false}, {"error", text}, {"would_restore", json_of(file)}}.dump() + "\n");
  return kExitFailure;
}

}  // namespace

int run_backup(const CommandLine& line) {
  int status = kExitFine;
  const std::optional<Known> known = look(line, status);
  if (!known) return status;
  if (line.list) return show_list(line, *known);
  const std::optional<Json> answer = ask(line, *known, {{"command", "backup"}}, status);
  if (!answer) return status;
  print(fmt::format("{}: {} rows, {} in {}, made in {}; {} kept\n", answer->value("backup", ""),
                    answer->value("rows", 0L), bytes_words(answer->value("database_bytes", 0L)),
                    bytes_words(answer->value("bytes", 0L)), duration_words(answer->value("seconds", 0.0)),
                    answer->value("kept", 0L)));
  return status;
}

int run_restore(const CommandLine& line) {
  int status = kExitFine;
  const std::optional<Known> known = look(line, status);
  if (!known) return status;
  const BackupFile* file = database::find_backup(known->backups, line.backup);
  if (file == nullptr && line.backup.empty()) return fail(line, "there is no backup: nothing to restore");
  if (file == nullptr)
    return fail(line,
                fmt::format("there is no backup `{}`: `terrace backup --list` shows them", line.backup));
  if (!line.replace) return show_loss(line, *file);
  const std::optional<Json> answer =
      ask(line, *known, {{"command", "restore"}, {"backup", file->name}}, status);
  if (!answer) return status;
  print(
      fmt::format("the database is the one of {}: {} rows; restored in {}\nthe one before is kept: "
                  "terrace restore {} --replace brings it back\n",
                  time_words(file->made), answer->value("rows", 0L),
                  duration_words(answer->value("seconds", 0.0)), answer->value("kept", "")));
  return status;
}

}  // namespace terrace::program

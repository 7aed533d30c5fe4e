#include "program/backup_job.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "database/restore.h"
#include "database/sqlite_backup.h"
#include "program/command_line.h"
#include "program/job_commands.h"
#include "program/output.h"

namespace terrace::program {
namespace {

using Arguments = std::span<const char* const>;
using Json = nlohmann::json;

constexpr size_t kArguments = 4;

void say(std::string_view text) { print(std::string(text) + "\n"); }

int finish(const BackupJobResult& result) {
  say(backup_job_line(result));
  return result.ok ? kExitFine : kExitFailure;
}

int finish(const Error& error) {
  return finish(
      {.error = describe(error), .absent = error.code == Code::kNotFound, .name = "", .keep_as = ""});
}

int wrong_arguments() { return finish({.error = "wrong arguments", .name = "", .keep_as = ""}); }

database::RestoreOptions restore_options(Arguments arguments) {
  return {.database = arguments[0], .folder = arguments[1], .site = arguments[2]};
}

}  // namespace

std::string backup_job_line(const BackupJobResult& result) {
  const Json json = {{"result", result.ok ? "ok" : "failed"},
                     {"error", result.error},
                     {"absent", result.absent},
                     {"name", result.name},
                     {"keep_as", result.keep_as},
                     {"bytes", result.bytes},
                     {"database_bytes", result.database_bytes},
                     {"rows", result.rows},
                     {"kept", result.kept}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<BackupJobResult> parse_backup_job_line(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("result")) return std::nullopt;
  const auto text = [&](const char* key) {
    return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
  };
  const auto number = [&](const char* key) {
    return json.contains(key) && json[key].is_number_integer() ? json[key].get<int64_t>() : 0;
  };
  return BackupJobResult{.ok = text("result") == "ok",
                         .error = text("error"),
                         .absent = json.value("absent", Json()) == Json(true),
                         .name = text("name"),
                         .keep_as = text("keep_as"),
                         .bytes = number("bytes"),
                         .database_bytes = number("database_bytes"),
                         .rows = number("rows"),
                         .kept = number("kept")};
}

int run_job_backup(Arguments arguments) {
  if (arguments.size() != kArguments) return wrong_arguments();
  const database::BackupOptions options{.database = arguments[0],
                                        .folder = arguments[1],
                                        .site = arguments[2],
                                        .kept = std::strtoul(arguments[3], nullptr, 10),
                                        .now = std::chrono::system_clock::now(),
                                        .copy = {}};
  const Result<database::BackupMade> made = database::back_up(options, say);
  if (!made) return finish(made.error());
  return finish({.ok = true,
                 .error = "",
                 .name = made->name,
                 .keep_as = "",
                 .bytes = made->bytes,
                 .database_bytes = made->database_bytes,
                 .rows = made->rows,
                 .kept = static_cast<int64_t>(made->kept)});
}

int run_job_restore_prepare(Arguments arguments) {
  if (arguments.size() != kArguments) return wrong_arguments();
  const Result<database::Prepared> prepared =
      database::prepare_restore(restore_options(arguments), arguments[3], say);
  if (!prepared) return finish(prepared.error());
  return finish({.ok = true,
                 .error = "",
                 .name = arguments[3],
                 .keep_as = prepared->keep_as,
                 .database_bytes = prepared->bytes,
                 .rows = prepared->rows});
}

int run_job_restore_swap(Arguments arguments) {
  if (arguments.size() != kArguments) return wrong_arguments();
  const Result<void> swapped = database::swap_restored(restore_options(arguments), arguments[3], say);
  if (!swapped) return finish(swapped.error());
  return finish({.ok = true, .error = "", .name = arguments[3], .keep_as = ""});
}

int run_job_restore_abandon(Arguments arguments) {
  if (arguments.size() != kArguments) return wrong_arguments();
  database::abandon_restore(restore_options(arguments), arguments[3]);
  return finish({.ok = true, .error = "", .name = "", .keep_as = ""});
}

}  // namespace terrace::program

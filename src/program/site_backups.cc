#include "program/site_backups.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/lifecycle.h"
#include "base/file.h"
#include "database/backups.h"
#include "database/sqlite.h"
#include "topology/forms.h"

namespace terrace::program {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kNoteBytesMax = 64 << 10;
constexpr std::chrono::hours kJobLimit{3};
// A site that has just started has better things to do first.
constexpr seconds kSettling{15};
// The schedule is looked at anew at least so often: the clock may be set.
constexpr seconds kLook{60};
// Until an app that has no database yet is asked again.
constexpr std::chrono::minutes kAbsentPause{10};
// For instances that neither drain nor end: longer than both limits together.
constexpr seconds kHoldSlack{60};
// A swap that was killed in between is done again so often.
constexpr int kSwapTries = 3;

Json read_note(const std::string& path) {
  const Result<std::string> text = read_file(path, kNoteBytesMax);
  return text ? Json::parse(*text, nullptr, false) : Json();
}

std::string text_of(const Json& json, const char* key) {
  return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
}

int64_t number_of(const Json& json, const char* key) {
  return json.is_object() && json.contains(key) && json[key].is_number_integer() ? json[key].get<int64_t>()
                                                                                 : 0;
}

std::optional<WallTime> time_of(const Json& json, const char* key) {
  const int64_t since = number_of(json, key);
  return since > 0 ? std::optional(WallTime(seconds(since))) : std::nullopt;
}

int64_t seconds_of(const std::optional<WallTime>& time) {
  return time ? std::chrono::duration_cast<seconds>(time->time_since_epoch()).count() : 0;
}

int64_t milliseconds_of(Duration duration) {
  return std::chrono::duration_cast<milliseconds>(duration).count();
}

BackupJobResult failure(std::string text) { return {.error = std::move(text), .name = "", .keep_as = ""}; }

}  // namespace

database::BackupSchedule schedule_of(const topology::Site& site) {
  if (site.db.engine != topology::DbEngine::kSqlite || site.db.backup == "off") return {};
  if (site.db.backup == "hourly") return {.interval = std::chrono::hours(1)};
  if (site.db.backup == "daily") return {.interval = std::chrono::hours(24)};
  return {.at = topology::parse_time_of_day(site.db.backup)};
}

// ---- what is remembered

void SiteBackups::begin(const Folders& folders) {
  folders_ = folders;
  const Json note = read_note(memory_path());
  memory_ = {.history = {.good = time_of(note, "good"),
                         .attempted = time_of(note, "attempted"),
                         .failures = static_cast<uint32_t>(
                             std::clamp<int64_t>(number_of(note, "failures"), 0, 1000))},
             .error = text_of(note, "error"),
             .name = text_of(note, "name"),
             .bytes = number_of(note, "bytes"),
             .database_bytes = number_of(note, "database_bytes"),
             .took = milliseconds(number_of(note, "duration_ms"))};
}

void SiteBackups::write_memory() const {
  const Json note = {{"good", seconds_of(memory_.history.good)},
                     {"attempted", seconds_of(memory_.history.attempted)},
                     {"failures", memory_.history.failures},
                     {"error", memory_.error},
                     {"name", memory_.name},
                     {"bytes", memory_.bytes},
                     {"database_bytes", memory_.database_bytes},
                     {"duration_ms", milliseconds_of(memory_.took)}};
  const std::string text = note.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (const Result<void> written = write_file(memory_path(), text); !written)
    log_.error("cannot note what became of the backup", {{"error", describe(written.error())}});
}

void SiteBackups::remember(const BackupJobResult& result, WallTime begun, Duration took) {
  memory_.history.attempted = begun;
  memory_.took = took;
  memory_.error = result.ok ? "" : result.error;
  if (result.ok) {
    memory_.history.good = begun;
    memory_.history.failures = 0;
    memory_.name = result.name;
    memory_.bytes = result.bytes;
    memory_.database_bytes = result.database_bytes;
    log_.info("a backup is made", {{"name", result.name},
                                   {"bytes", result.bytes},
                                   {"milliseconds", milliseconds_of(took)},
                                   {"kept", result.kept}});
  } else {
    ++memory_.history.failures;
    log_.error("a backup failed; the older ones stay", {{"error", result.error}});
  }
  write_memory();
  publish();
}

void SiteBackups::publish() const {
  const bool some = memory_.history.attempted.has_value();
  if (!some) return;
  host_.publish_backup({.success = memory_.error.empty() ? 1U : 0U,
                        .good_seconds = seconds_of(memory_.history.good),
                        .bytes = memory_.bytes,
                        .duration_ms = milliseconds_of(memory_.took)});
}

// ---- jobs

std::string SiteBackups::refusal() const {
  const std::shared_ptr<const topology::Site> site = host_.backup_site();
  if (!site) return "the site has not started yet";
  if (!site->db.url.empty())
    return "Terrace does not run the database that [db] url names: back it up and restore it with its own "
           "tools";
  if (site->db.engine != topology::DbEngine::kSqlite)
    return "the site has no database: [db] engine is \"none\"";
  return busy_ ? "another backup or restore is under way" : "";
}

// `last` is the command's own argument, behind database, folder and site.
Task<BackupJobResult> SiteBackups::run_job(const char* name, const char* command, std::string last,
                                           JobLine on_line) {
  const std::shared_ptr<const topology::Site> site = host_.backup_site();
  JobPlan plan;
  plan.name = name;
  plan.arguments = {command, database::sqlite_path(folders_.state + "/database", site->site.name),
                    folders_.state + "/backups", site->site.name, std::move(last)};
  plan.folder = folders_.state;
  plan.limit = kJobLimit;
  std::optional<BackupJobResult> result;
  const JobLine listen = [&result, &on_line](std::string_view line) {
    if (const auto parsed = parse_backup_job_line(line)) {
      result = parsed;
    } else if (on_line) {
      on_line(line);
    }
  };
  const JobResult ended = co_await jobs_.run(site, std::move(plan), listen);
  if (result) co_return *result;
  const std::string said = ended.last_lines.empty() ? "" : ": " + ended.last_lines.back();
  co_return failure("its process ended early, with " + ended.how + said);
}

Task<SiteBackups::Done> SiteBackups::back_up(JobLine on_line) {
  if (const std::string refused = refusal(); !refused.empty())
    co_return Done{.result = failure(refused), .kept = ""};
  busy_ = true;
  const Time begin = reactor_.now();
  const WallTime begun = reactor_.clock().wall();
  const std::string kept = std::to_string(host_.backup_site()->db.backups_kept);
  Done done{.result = co_await run_job("backup", "job-backup", kept, std::move(on_line)), .kept = ""};
  done.took = reactor_.now() - begin;
  busy_ = false;
  if (done.result.absent) {
    done.result.error = "the application has not made its database yet";
  } else {
    remember(done.result, begun, done.took);
  }
  co_return done;
}

// ---- when they are due

std::optional<WallTime> SiteBackups::next() const {
  const std::shared_ptr<const topology::Site> site = host_.backup_site();
  if (!site) return std::nullopt;
  const WallTime now = reactor_.clock().wall();
  const std::optional<WallTime> due = database::next_backup(schedule_of(*site), memory_.history, now);
  return due && not_before_ ? std::max(*due, *not_before_) : due;
}

void SiteBackups::start_schedule() {
  if (scheduled_) return;
  scheduled_ = true;
  scope_.spawn(run_schedule());
}

Task<void> SiteBackups::run_schedule() {
  co_await sleep(reactor_, kSettling);
  for (;;) {
    const std::optional<WallTime> due = next();
    const WallTime now = reactor_.clock().wall();
    if (due && *due <= now && !busy_) {
      const Done done = co_await back_up({});
      not_before_ = done.result.absent ? std::optional(now + kAbsentPause) : std::nullopt;
      continue;
    }
    const Duration left = due && !busy_ ? *due - now : Duration(kLook);
    co_await wake_.wait(std::clamp<Duration>(left, milliseconds(10), kLook));
  }
}

// ---- restore

Task<bool> SiteBackups::wait_for(Event& event, Duration limit) {
  const Time deadline = reactor_.now() + limit;
  while (!event.is_set() && reactor_.now() < deadline) co_await sleep(reactor_, milliseconds(20));
  co_return event.is_set();
}

// The app is held. One that was killed in between is done again; one that failed has
// changed nothing.
Task<BackupJobResult> SiteBackups::swap(Swap swap, JobLine on_line) {
  BackupJobResult result;
  for (int i = 0; i < kSwapTries && !result.ok; ++i) {
    result = co_await run_job("restore-swap", "job-restore-swap", swap.kept, on_line);
  }
  if (!result.ok) co_await abandon(swap.kept);
  co_return result;
}

Task<void> SiteBackups::abandon(std::string kept) {
  const BackupJobResult abandoned =
      co_await run_job("restore-abandon", "job-restore-abandon", std::move(kept), {});
  if (!abandoned.ok) log_.error("a failed restore left files behind", {{"error", abandoned.error}});
}

Task<BackupJobResult> SiteBackups::hold_and_swap(Swap wanted, JobLine on_line) {
  const Duration limit = host_.backup_site()->app.grace + app::kDrainMax + kHoldSlack;
  on_line("holding requests, stopping the instances");
  held_.reset();
  up_.reset();
  host_.hold_app();
  const bool held = co_await wait_for(held_, limit);
  const Json note = {{"backup", wanted.backup}, {"kept", wanted.kept}};
  const Result<void> noted = held ? write_file(swap_path(), note.dump() + "\n")
                                  : fail(Code::kTimeout, "restore", "an instance does not end");
  BackupJobResult result = failure(noted ? "" : describe(noted.error()));
  if (noted) {
    on_line("swapping the database");
    result = co_await swap(wanted, on_line);
    ::unlink(swap_path().c_str());
    (void)database::sync_folder(folders_.state);
  } else {
    // What was prepared takes the room of a database, which may be what is missing.
    co_await abandon(wanted.kept);
  }
  on_line("starting the instances");
  host_.release_app();
  co_return result;
}

Task<SiteBackups::Done> SiteBackups::restore(std::string name, JobLine on_line) {
  std::string refused = refusal();
  if (refused.empty()) refused = host_.restore_obstacle();
  if (!refused.empty()) co_return Done{.result = failure(refused), .kept = ""};
  busy_ = restoring_ = true;
  const Time begin = reactor_.now();
  const JobLine say = on_line ? std::move(on_line) : [](std::string_view) {};
  const BackupJobResult prepared = co_await run_job("restore-check", "job-restore-prepare", name, say);
  Done done{.result = prepared, .kept = ""};
  if (prepared.ok) {
    log_.warning("a restore replaces the database", {{"backup", name}});
    const Swap wanted{.backup = name, .kept = prepared.keep_as};
    const BackupJobResult swapped = co_await hold_and_swap(wanted, say);
    done.result.ok = swapped.ok;
    done.result.error = swapped.error;
    done.kept = wanted.kept;
    const bool up = co_await wait_for(up_, host_.backup_site()->app.start_timeout);
    if (!up && done.result.ok) {
      done.result.ok = false;
      done.result.error = fmt::format(
          "the database is restored, but the application does not come up with it; "
          "the one before is kept as {}; see `terrace logs`",
          wanted.kept);
    }
    if (swapped.ok) log_.warning("the database is restored", {{"backup", name}, {"kept", wanted.kept}});
  }
  if (!done.result.ok) log_.error("a restore failed", {{"backup", name}, {"error", done.result.error}});
  done.took = reactor_.now() - begin;
  busy_ = restoring_ = false;
  co_return done;
}

bool SiteBackups::interrupted() const { return ::access(swap_path().c_str(), F_OK) == 0; }

// The app was held before it was configured.
Task<void> SiteBackups::finish_interrupted() {
  busy_ = restoring_ = true;
  while (!host_.backup_site() || !held_.is_set()) co_await sleep(reactor_, milliseconds(20));
  const Json note = read_note(swap_path());
  const Swap wanted{.backup = text_of(note, "backup"), .kept = text_of(note, "kept")};
  log_.warning("a restore was cut off: it goes on", {{"backup", wanted.backup}});
  BackupJobResult result = failure("the note of it cannot be read");
  if (!wanted.kept.empty()) result = co_await swap(wanted, {});
  if (!result.ok) log_.error("a restore failed; the database before it stays", {{"error", result.error}});
  ::unlink(swap_path().c_str());
  (void)database::sync_folder(folders_.state);
  busy_ = restoring_ = false;
  host_.release_app();
}

}  // namespace terrace::program

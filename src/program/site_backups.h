#pragma once

// Backups of the embedded database, when they are due and when somebody asks, and
// the way back. The controller's part of it: it may not read the database, so jobs of
// the app's user do the work (backup_job.h), one at a time.
//
// What became of the last backup is in <state>/backups.json, so that a backup that a downtime
// missed is made up for. A restore that swaps the database has <state>/restore.json: as
// long as that is there no instance is started, and whoever finds it, the next
// controller or the next start of the site, goes on with the swap first.
//
// Controller's thread only.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"
#include "database/backup_schedule.h"
#include "program/backup_job.h"
#include "program/folders.h"
#include "program/jobs.h"
#include "program/records.h"
#include "program/waiting.h"
#include "reactor/mailbox.h"
#include "topology/site.h"

namespace terrace::program {

// What the backups need of the controller.
class BackupHost {
 public:
  virtual ~BackupHost() = default;
  // Null before the first.
  virtual std::shared_ptr<const topology::Site> backup_site() const = 0;
  // Why the instances cannot be stopped now, for a person; empty when they can.
  virtual std::string restore_obstacle() const = 0;
  // Stops the instances while requests wait: app_held() tells when none is left.
  virtual void hold_app() = 0;
  // Starts them again: app_up() tells when all are healthy.
  virtual void release_app() = 0;
  virtual void publish_backup(const BackupReport& report) = 0;
};

// What became of the last attempt, and of the last good one.
struct BackupMemory {
  database::BackupHistory history;
  std::string error;  // of the last attempt; empty: it was good
  std::string name;   // of the last good one
  int64_t bytes = 0;
  int64_t database_bytes = 0;
  Duration took{};  // the last attempt
};

class SiteBackups {
 public:
  SiteBackups(Reactor& reactor, Scope& scope, const Log& log, Jobs& jobs, BackupHost& host)
      : reactor_(reactor),
        scope_(scope),
        log_(log),
        jobs_(jobs),
        host_(host),
        wake_(reactor),
        held_(reactor),
        up_(reactor) {}

  // Reads what is remembered. Call once the folders are known.
  void begin(const Folders& folders);
  // A restore was cut off: hold the app before it is configured, then resume().
  bool interrupted() const;
  void resume() { scope_.spawn(finish_interrupted()); }
  // From now on backups are made when they are due.
  void start_schedule();
  void site_changed() { wake_.ring(); }
  void app_held() { held_.set(); }
  void app_up() { up_.set(); }
  // To a new worker, too.
  void publish() const;

  struct Done {
    BackupJobResult result;
    Duration took{};
    std::string kept;  // of a restore: the name of the database before
  };
  Task<Done> back_up(JobLine on_line);
  // `name` as list_backups() gives it.
  Task<Done> restore(std::string name, JobLine on_line);

  // A backup or a restore is under way.
  bool busy() const { return busy_; }
  // Of these only a restore stops the instances.
  bool restoring() const { return restoring_; }
  const BackupMemory& memory() const { return memory_; }
  std::optional<WallTime> next() const;

 private:
  struct Swap {
    std::string backup;
    std::string kept;
  };

  Task<void> run_schedule();
  Task<BackupJobResult> run_job(const char* name, const char* command, std::string last, JobLine on_line);
  Task<BackupJobResult> swap(Swap swap, JobLine on_line);
  Task<void> abandon(std::string kept);
  Task<BackupJobResult> hold_and_swap(Swap wanted, JobLine on_line);
  Task<void> finish_interrupted();
  Task<bool> wait_for(Event& event, Duration limit);
  void remember(const BackupJobResult& result, WallTime begun, Duration took);
  void write_memory() const;
  std::string refusal() const;
  std::string memory_path() const { return folders_.state + "/backups.json"; }
  std::string swap_path() const { return folders_.state + "/restore.json"; }

  Reactor& reactor_;
  Scope& scope_;
  const Log& log_;
  Jobs& jobs_;
  BackupHost& host_;
  Folders folders_;
  BackupMemory memory_;
  Alarm wake_;
  Event held_;
  Event up_;
  std::optional<WallTime> not_before_;  // there was no database to back up
  bool scheduled_ = false;
  bool busy_ = false;
  bool restoring_ = false;
};

// [db] backup as a schedule.
database::BackupSchedule schedule_of(const topology::Site& site);

}  // namespace terrace::program

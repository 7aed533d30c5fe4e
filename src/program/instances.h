#pragma once

// The instances of the app that run under the supervisor. It outlives the
// controller that asked for them, so it keeps what a new one must know: their
// output, their tags, and ends that nobody has heard of. Supervisor's main thread
// only.

#include <sys/types.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "program/cgroup.h"
#include "program/folders.h"
#include "program/handover.h"
#include "program/isolation.h"
#include "program/password_files.h"
#include "program/privileges.h"
#include "program/records.h"

namespace terrace::program {

class Instances {
 public:
  struct Options {
    Folders folders;
    std::string site_folder;  // of the site file: see writable.h
    User own;                 // of controller and worker
    User app;                 // the standard user of the app
    bool root = false;
    Isolation isolation = Isolation::kNamespace;
    rlim_t descriptors = 1024;  // soft limit of open files that an instance begins with
    int program = -1;           // our own binary, for jobs; borrowed
  };

  struct Running {
    InstanceRunning record;
    StartedInstance started;
    Cgroup group;
    std::chrono::milliseconds grace{};
    std::optional<Time> kill_at;         // after SIGTERM of the stopping site
    std::optional<InstanceEnded> ended;  // not yet told to a controller
    bool orphaned = false;               // a job whose controller is gone: nobody waits for its end
  };

  explicit Instances(Options options)
      : options_(std::move(options)), passwords_(options_.folders.run + "/passwords", options_.root) {}
  ~Instances();

  // Whatever the record says: never as root, never as a stranger's user, sockets
  // only in our run folder. The error's text is for a person. `input` is for a job.
  Result<const Running*> start(const StartInstance& record, int input = -1);
  // SIGTERM or SIGKILL.
  void signal(uint32_t slot, uint32_t generation, int signal);
  void tag(const TagInstance& record);

  // waitpid(2) gave this end; null when it is none of ours. Afterwards `ended` is
  // set: forget() it once a controller has heard it.
  Running* ended(pid_t pid, int status);
  void forget(const Running& running);

  // For the program that takes our place, and from the one before us (handover.h).
  std::vector<Handover::Instance> hand_over() const;
  std::vector<std::string> left_groups() const;
  void adopt(const Handover& handover);
  // Jobs end with their controller, and so would one that runs at an upgrade.
  bool has_jobs() const;

  // The end of the site: SIGTERM to all, SIGKILL to those that outstay their grace.
  void terminate_all(Time now);
  void kill_overdue(Time now);
  void kill_all();
  // The controller that asked for the jobs is gone.
  void end_jobs();
  std::optional<Time> next_kill() const;

  // True when no instance runs.
  bool empty() const;
  const std::vector<std::unique_ptr<Running>>& all() const { return running_; }
  // Removes what a control group still is on this machine, when it is free by now.
  void clean_up();
  // What was done to the app's folder since the last call, in words for the log; the
  // same is said once.
  std::vector<std::string> take_notes() { return std::exchange(notes_, {}); }
  Limits limits() const { return cgroups_ ? cgroups_->kind() : Limits::kNone; }

 private:
  Running* find(uint32_t slot, uint32_t generation);
  Result<User> check(const StartInstance& record) const;
  Result<User> user_of(const StartInstance& record) const;
  Result<User> owner_of_release(const StartInstance& record) const;
  Result<void> prepare_folders(const User& user);
  void prepare_writable(const StartInstance& record, const User& user);
  Result<Cgroup> make_group(const StartInstance& record);
  // DB_PASSWORD_FILE, where there is a password.
  Result<void> add_password(const StartInstance& record, const User& user, InstancePlan& plan);
  InstancePlan plan_of(const StartInstance& record, const User& user) const;

  Options options_;
  PasswordFiles passwords_;
  std::optional<Cgroups> cgroups_;  // found with the first instance: named after the site
  std::vector<std::unique_ptr<Running>> running_;
  std::vector<Cgroup> left_groups_;
  std::vector<std::string> notes_;
  std::set<std::string> noted_;
};

}  // namespace terrace::program

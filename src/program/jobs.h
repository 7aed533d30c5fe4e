#pragma once

// Commands that run once as the app's user: a build, a migration, a backup.
//
// A job is started by the supervisor in the isolation of an instance (isolation.h):
// nothing of it outlives its end, Terrace, or the controller that asked for it. The
// last is a decision: a controller that starts anew knows nothing of what the one
// before it was about, and a job that nobody waits for would be a migration whose
// end nobody hears. A command must bear being killed anyway, as a power cut does
// the same. What a job prints goes line by line to app.log under its name and to
// whoever asked for it.
//
// At most kJobsMax run at once. Controller's thread only.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "program/app_log.h"
#include "program/records.h"
#include "reactor/mailbox.h"
#include "reactor/reactor.h"
#include "reactor/scope.h"
#include "reactor/task.h"
#include "topology/site.h"

namespace terrace::program {

struct JobPlan {
  std::string name;     // "build-7": its title and its name in app.log; letters, digits, - and _
  std::string command;  // for /bin/sh -c
  // Instead of `command`: our own binary with these arguments, {"job-backup", "/x"}.
  // main() knows them (internal commands); none may contain a line end.
  std::vector<std::string> arguments;
  std::string folder;  // where it starts; absolute
  // As the owner of `folder`, which is a release's: `[app] user` may be another one by now.
  bool as_owner = false;
  // The whole of it but for HOME, USER and LOGNAME: instance_environment(site, {}, …).
  std::vector<topology::Named> environment;
  Descriptor input;  // standard input; none: /dev/null
  Duration limit{};  // killed after it; zero: no limit
};

struct JobResult {
  bool success = false;                // exit status 0
  std::string how;                     // its end for people: "exit status 1", "out of memory"
  std::deque<std::string> last_lines;  // of its output, at most kJobLastLines
};
constexpr size_t kJobLastLines = 20;

using JobLine = std::function<void(std::string_view line)>;

// Who starts and signals them: the controller, through its channel to the supervisor.
class JobStarter {
 public:
  virtual ~JobStarter() = default;
  virtual void start_job(const StartInstance& record, int input) = 0;
  virtual void signal_job(const SignalInstance& record) = 0;
};

class Jobs {
 public:
  Jobs(Reactor& reactor, Scope& scope, AppLog& log, JobStarter& starter)
      : reactor_(reactor), scope_(scope), log_(log), starter_(starter) {}

  // Number of this controller (Welcome::starts): keeps jobs of two controllers apart.
  void begin(uint32_t controller_starts) { next_ = controller_starts << 16; }

  // Runs it to its end. `site` gives user and limits. `on_line` may be empty.
  Task<JobResult> run(std::shared_ptr<const topology::Site> site, JobPlan plan, JobLine on_line);
  // SIGTERM, and SIGKILL after the site's grace; its run() then returns.
  void cancel(std::string_view name);
  bool running(std::string_view name) const { return find(name) != nullptr; }

  // What the supervisor says of slots from kSlotsMax on.
  void handle(const InstanceRunning& record, Descriptor output);
  void handle(const InstanceEnded& record);

 private:
  struct Running;
  struct Deadline;

  Result<StartInstance> record_of(const topology::Site& site, const JobPlan& plan) const;
  uint32_t free_slot() const;
  Running* find(std::string_view name) const;
  Task<void> read_output(std::shared_ptr<Running> job);
  bool take_output(Running& job);
  void say(Running& job, std::deque<std::string> lines);
  void finish(Running& job);
  void signal(const Running& job, int signal);

  Reactor& reactor_;
  Scope& scope_;
  AppLog& log_;
  JobStarter& starter_;
  uint32_t next_ = 0;
  std::map<uint32_t, std::shared_ptr<Running>> running_;  // by slot
};

}  // namespace terrace::program

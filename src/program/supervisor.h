#pragma once

// The supervisor: the only process with privileges, so it does little and reads
// nothing but fixed-size records. One thread, one loop: signals, two channels,
// deadlines. Everything that the site needs to live on when the controller or the
// worker dies is held here: sockets, instances, their output, the accepted file.
// It outlives its own program, too: an upgrade executes the new one in its place.

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "program/child_process.h"
#include "program/entry.h"
#include "program/handover.h"
#include "program/instances.h"
#include "program/listeners.h"
#include "program/terrace_log.h"
#include "program/upgrade_trial.h"

namespace terrace::program {

// The site's end, in order: the worker finishes, the instances end, the controller
// has written what they said last.
enum class Phase { kRunning, kDraining, kEnding, kLogging, kEnded };

struct Parts {
  UpOptions up;
  Folders folders;
  User own;
  User app;
  User cluster;  // the member's
  bool root = false;
  Isolation isolation = Isolation::kNamespace;
  rlim_t descriptors = 1024;
  uint32_t cores = 1;
  int64_t memory_bytes = 0;
  Descriptor program;        // our own binary, as it runs
  std::string program_path;  // where its successor will be installed
  Descriptor signals;        // signalfd
  Descriptor lock;
  std::unique_ptr<TerraceLog> terrace_log;
};

class Supervisor {
 public:
  Supervisor(Parts parts, const Log& log);
  // What the program before us left; before run().
  void adopt(const Handover& handover);
  int run();

 private:
  // A process of the program before an upgrade: it finishes what it has.
  struct Predecessor {
    pid_t pid = 0;
    uint32_t starts = 0;
    Descriptor channel;
    bool told = false;  // to a worker: kRetireSignal
    std::optional<Time> kill_at;
  };

  void turn();
  int wait_milliseconds() const;
  void read_signals();
  void reap();
  void child_ended(ChildProcess& child, int status);
  void start_what_is_due();
  bool start_child(ChildProcess& child);
  void greet(const ChildProcess& child);
  void greet_worker();
  void greet_controller();
  void greet_member();
  void say_member();
  void connect(ChildProcess& one, ChildProcess& other);
  Process process_of(const ChildProcess& child) const;

  void read_records(ChildProcess& child);
  void handle(Received& received);
  void handle_serving(const Serving& record);
  void handle_site(const Site& record, Descriptor text);
  void want_member(bool wanted);
  bool has_joined() const;
  void handle_listen(const Listen& record);
  void handle_unlisten(const Unlisten& record);
  void handle_start(const StartInstance& record, const Descriptor& input);
  void handle_make_release(const MakeRelease& record);
  void answer_release(uint32_t number, const Result<void>& done);
  void say_if_limits_are_weak(const StartInstance& record);
  void send_site_file();

  // supervisor_files.cc
  void send_secrets();
  Descriptor pack_secrets(int32_t& system) const;
  void handle_write_site(const WriteSite& record, const Descriptor& text);
  void handle_store_secret(const StoreSecret& record, const Descriptor& value);
  void handle_read_secrets();
  void answer_written(uint32_t id, const Result<void>& done);

  void announce(const Listeners::Held& held, bool worker_too);
  void report(const Instances::Running& running);
  void report_end(Instances::Running& running);

  // supervisor_upgrade.cc
  void begin_upgrade();
  std::string upgrade_obstacle() const;
  void refuse_upgrade(const std::string& why);
  void end_trial(int status);
  void hand_over();
  Handover handover() const;
  bool predecessor_ended(pid_t pid);
  void retire_workers();
  void tell_retiring(Predecessor& worker);
  void say_retiring();
  void kill_overdue_predecessors();
  void kill_predecessors();

  void stop(int exit_code, std::chrono::seconds limit = kDrainLimit);
  void stop_at_once();
  void end_instances();
  void advance_stop();

  template <Record T>
  void tell(ChildProcess& child, const T& record, int descriptor = -1);

  Parts parts_;
  const Log& log_;
  ChildProcess controller_;
  ChildProcess worker_;
  ChildProcess member_;
  Listeners listeners_;
  Instances instances_;
  Descriptor site_text_;  // what the controller last accepted
  Descriptor secrets_;    // and the secrets that it had then
  std::optional<Site> site_;
  bool serving_ = false;
  bool deploying_ = false;  // the controller of now
  bool member_wanted_ = false;
  bool limits_said_ = false;
  Phase phase_ = Phase::kRunning;
  Time phase_deadline_;
  int exit_code_ = 0;
  std::optional<UpgradeTrial> trial_;
  uint32_t upgrades_ = 0;
  Time upgraded_;
  std::optional<Predecessor> old_controller_;
  std::optional<Predecessor> old_member_;
  std::vector<Predecessor> retiring_;
  Time now_ = std::chrono::steady_clock::now();
};

template <Record T>
void Supervisor::tell(ChildProcess& child, const T& record, int descriptor) {
  const Result<void> sent = child.tell(record, descriptor);
  if (sent || sent.error().code == Code::kUnavailable || sent.error().code == Code::kClosed) return;
  log_.error("a process of Terrace does not read what it is told; it is started anew",
             {{"process", child.name()}, {"error", describe(sent.error())}});
  child.kill(SIGKILL);
}

}  // namespace terrace::program

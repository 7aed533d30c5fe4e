#pragma once

// The controller, the worker or the member as the supervisor sees it: this same binary, started
// with a channel as descriptor kSupervisorChannel, without privileges, and started
// again when it dies. Supervisor's main thread only: the kernel ends the child when
// the thread that started it ends (PR_SET_PDEATHSIG).

#include <sys/socket.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/result.h"
#include "program/channel.h"
#include "program/privileges.h"

namespace terrace::program {

class ChildProcess {
 public:
  struct Options {
    std::string name;          // "controller": the argument and the word for logs
    int program = -1;          // the binary, open; borrowed
    User user;                 // with its supplementary groups
    bool change_user = false;  // false: we are not root
    // The site file may name variables of our environment, secrets too; who does not
    // read the file gets none of them.
    bool environment = false;
  };

  explicit ChildProcess(Options options) : options_(std::move(options)) {}

  const std::string& name() const { return options_.name; }
  bool alive() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  int channel() const { return channel_.get(); }
  uint32_t starts() const { return starts_; }

  Result<void> start(Time now);
  // So many were started before an upgrade of the supervisor.
  void count_from(uint32_t starts) { starts_ = starts; }
  // waitpid(2) gave its end: plans the next start, at once after a life of some
  // length, later and later after short ones.
  void ended(Time now);
  // When to start it; none while it lives or shall stay away.
  std::optional<Time> due() const { return due_; }
  void stay_away() { due_.reset(); }
  // A child that does not read what it is told, or breaks the protocol, is ended
  // and started anew.
  void kill(int signal) const;
  // Ends its channel: it leaves when it has done the rest.
  void finish() { ::shutdown(channel_.get(), SHUT_WR); }

  template <Record T>
  Result<void> tell(const T& record, int descriptor = -1) const {
    if (!alive()) return fail(Code::kUnavailable, "tell");
    return send_record(channel_.get(), record, descriptor);
  }

 private:
  [[noreturn]] void run(int channel, pid_t supervisor) const;
  Result<void> give_up_root(pid_t supervisor) const;

  Options options_;
  pid_t pid_ = 0;
  Descriptor channel_;
  uint32_t starts_ = 0;
  uint32_t short_lives_ = 0;  // in a row
  Time started_;
  std::optional<Time> due_;
};

// How long to wait after so many short lives in a row: nothing five times, then
// 0.1 s, doubling up to 5 s.
Duration restart_pause(uint32_t short_lives);

}  // namespace terrace::program

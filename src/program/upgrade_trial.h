#pragma once

// Whether the program that is installed now could take our place (handover.h). A
// child without privileges runs it on the very state that it would get, and only
// what the child ran is executed afterwards: the file is opened once.
//
// The supervisor's thread only.

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/result.h"
#include "program/privileges.h"

namespace terrace::program {

// The command that no help shows: `terrace take-over check` reads a handover from
// standard input and says the version that would take it over; `terrace take-over
// NUMBER SITE` is executed with the handover in that descriptor.
constexpr const char* kTakeOver = "take-over";
constexpr const char* kTakeOverCheck = "check";
constexpr Duration kTrialLimit = std::chrono::seconds(10);

class UpgradeTrial {
 public:
  // Without a `user` the child stays who we are. As root the file must be root's, and
  // nobody else may write to it. The error's text is for a person.
  static Result<UpgradeTrial> start(const std::string& path, const User* user, std::string_view handover,
                                    Time now);

  pid_t pid() const { return pid_; }
  Time deadline() const { return deadline_; }
  void kill() const;
  // waitpid(2) gave this end. Empty: the program may be executed; else why not.
  std::string problem(int status);
  const std::string& version() const { return version_; }
  // Executes what was tried, with this environment. Returns only when that fails.
  Error execute(int handover, const std::string& site_path) const;

 private:
  UpgradeTrial() = default;
  [[noreturn]] void run(const User* user, int state, int output) const;

  Descriptor program_;
  Descriptor output_;
  pid_t pid_ = 0;
  Time deadline_;
  std::string version_;
};

// Where our own program is installed: a path that leads to its successor after an
// upgrade, as /proc/self/exe does not. `name` as main() got it.
std::string installed_program(const char* name);

// The child's side.
int run_take_over_check();

}  // namespace terrace::program

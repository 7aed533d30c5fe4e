#pragma once

// A machine of the lab as the keeper sees it: on, off, frozen. Keeper's main thread
// only: the kernel ends a machine when the thread that switched it on ends.

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/result.h"
#include "lab/init.h"
#include "lab/plan.h"

namespace terrace::lab {

enum class MachineState : uint8_t { kOff, kBuilding, kBuilt, kUp, kFrozen, kStopping, kFailed };

const char* word(MachineState state);

class Machine {
 public:
  Machine(PlannedMachine plan, Boot boot) : plan_(std::move(plan)), boot_(std::move(boot)) {}

  const PlannedMachine& plan() const { return plan_; }
  const std::string& name() const { return plan_.name; }
  MachineState state() const { return state_; }
  bool is_on() const { return pid_ > 0; }
  // It has its own root by now: a command that went in earlier would see this machine's files.
  bool has_root() const {
    return is_on() && (state_ == MachineState::kBuilt || state_ == MachineState::kUp ||
                       state_ == MachineState::kFrozen || state_ == MachineState::kStopping);
  }
  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  int channel() const { return channel_.get(); }
  // Why it failed to boot.
  const std::string& failure() const { return failure_; }
  bool link_up = true;

  Result<void> power_on();
  // At once, as when the power is cut. ended() follows.
  void cut_power();
  // Asks its init to shut down; ended() follows.
  void shut_down();
  // Stops every process of it where it stands, and lets them go on. The kernel's part
  // of it, such as TCP, goes on meanwhile, as with any program that hangs.
  void freeze();
  void thaw();

  // Something is to be read from the channel.
  void take_channel();
  void tell(char word) const;
  // waitpid(2) gave its end.
  void ended();

 private:
  [[noreturn]] void become_machine(int channel) const;
  int signal_all(int signal, bool stopped) const;

  PlannedMachine plan_;
  Boot boot_;
  MachineState state_ = MachineState::kOff;
  pid_t pid_ = 0;
  Descriptor pidfd_;
  Descriptor channel_;
  std::string failure_;
};

}  // namespace terrace::lab

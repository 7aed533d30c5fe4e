#pragma once

// The keeper of a lab: one process per lab that switches its machines on and off, lays
// the cables between them, and answers on the control socket (request.h). All of the
// lab ends with it, however it ends; what it then leaves are folders of disks, which
// `terrace lab down --all` removes.
//
// One thread, blocking only for what takes milliseconds.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "lab/folders.h"
#include "lab/machine.h"
#include "lab/plan.h"
#include "lab/request.h"

namespace terrace::lab {

struct KeeperOptions {
  Plan plan;
  LabFolders folders;
  Descriptor name;    // of take_name()
  pid_t starter = 0;  // the lab goes down when this process, its parent, ends; 0: it stays
  // Sets what ps(1) shows of a process; may be empty.
  std::function<void(std::string_view)> set_title;
};

class Keeper {
 public:
  explicit Keeper(KeeperOptions options);

  // Opens the control socket and the port on loopback, and switches everything on.
  Result<void> open();
  // Until the lab is down; then nothing of it is left.
  int run();

 private:
  struct Client {
    Descriptor socket;
    std::string received;
    Time deadline;
    bool answered = false;
    // Answered once the machine is in that state, or failed; all of them when down.
    Machine* awaited = nullptr;
    MachineState state = MachineState::kOff;
  };

  Result<void> start_forwarder();
  void poll_once();
  void take_signals();
  void reap();
  void advance(Machine& machine);
  void plug(Machine& machine);
  void begin_down();

  void accept_client();
  void read_client(Client& client);
  void look_after(Client& client);
  void answer(Client& client, const std::string& line, int descriptor = -1);
  void refuse(Client& client, const std::string& why);
  void agree(Client& client);
  void handle(Client& client, const Request& request);
  void handle_machine(Client& client, const Request& request, Machine& machine);
  void cut(Client& client, const Request& request);
  void heal(Client& client, const Request& request);
  void link(Client& client, const Request& request, Machine& machine);
  std::string set_cuts(Cuts cuts);
  std::string status() const;

  Machine* find(const std::string& name);
  Machine& the_switch() { return machines_.back(); }
  void note(const std::string& event);

  KeeperOptions options_;
  std::deque<Machine> machines_;  // they stay where they are; the switch is the last
  Cuts cuts_;
  Descriptor signals_;
  Descriptor listener_;
  Descriptor events_;
  std::deque<Client> clients_;
  pid_t forwarder_ = 0;
  Descriptor loopback_;
  int loopback_port_ = 0;
  bool going_down_ = false;
};

}  // namespace terrace::lab

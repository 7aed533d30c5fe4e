#pragma once

// Where labs live, each under its name:
//
//   /var/lib/terrace-lab/NAME   the disks of its machines, their consoles, events.log
//   /run/terrace-lab/NAME       control.sock, and keeper.pid, locked while it runs
//
// TERRACE_LAB_FOLDER=/x puts both below /x, as disks/NAME and run/NAME: for tests.

#include <optional>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"

namespace terrace::lab {

struct LabFolders {
  std::string name;
  std::string disk;
  std::string run;

  std::string socket() const { return run + "/control.sock"; }
  std::string events() const { return disk + "/events.log"; }
  std::string machine(const std::string& machine) const { return disk + "/machines/" + machine; }
  std::string console(const std::string& machine) const { return this->machine(machine) + "/console.log"; }
};

LabFolders lab_folders(const std::string& name);
// A name of a lab: letters, digits, `-` and `_`, at most 68: the longest name of a site
// and a number. Others would be missed by lab_names().
bool is_lab_name(const std::string& name);

// Every lab that has a folder, whether it runs or not, in order.
std::vector<std::string> lab_names();
// Its keeper lives.
bool is_running(const LabFolders& folders);

// Makes the folders and takes the name for as long as the descriptor is open.
// kUnavailable when a lab of this name runs already.
Result<Descriptor> take_name(const LabFolders& folders);
// Says within what take_name() gave that this process is the keeper.
Result<void> note_keeper(const Descriptor& taken);

// Ends a keeper that does not answer, and with it its lab. kTimeout when that does not
// help.
Result<void> end_by_force(const LabFolders& folders);

// Removes what a lab that does not run any more has left.
Result<void> remove_lab(const LabFolders& folders);

}  // namespace terrace::lab

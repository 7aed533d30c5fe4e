#pragma once

// The file system of a machine: what a freshly rented one has, and a disk of its own.
//
//   /usr             this machine's, below a layer that the lab's machine writes to
//   /etc             likewise, without its Terrace, its keys for ssh and letsencrypt, its timers and units
//   /proc /sys /dev  of its own namespaces; settings of the kernel are read-only
//   /run /tmp        empty after each boot
//   all else         its disk: /var, /home, /root, /srv
//
// Nothing else of this machine is seen, no home and no project: what a machine of the
// lab shall have is brought to it by commands, as over ssh. Layers are overlayfs.

#include <string>

#include "base/result.h"

namespace terrace::lab {

struct MachineRoot {
  std::string disk;  // a folder of this machine that holds all of the above that stays
  std::string name;
  std::string hosts;  // the text of /etc/hosts
};

// Makes what the disk needs; once for each disk, again does no harm.
Result<void> make_disk(const MachineRoot& root);

// Makes the disk's tree the root of this process, which has a mount namespace of its
// own. Call in the first process of the machine, in its PID and network namespace.
Result<void> enter_root(const MachineRoot& root);

// No process of a machine reaches beyond its namespaces by accident: the clock and the
// kernel's modules are out of reach, its settings read-only, and no device can be made. No
// wall against a hostile root, which may mount (CAP_SYS_ADMIN, as Terrace needs it).
Result<void> drop_capabilities();

}  // namespace terrace::lab

#pragma once

// The first process of a machine: boots it, keeps its service running, and takes it
// down. To the machine it is what systemd is to a rented one.
//
// The service of a server is `terrace up --file /etc/terrace/site.toml`: as
// packages/deb/terrace.service has it, it is started at boot when that file is there,
// and again a second after it ended. Another machine's is the `run` of lab.toml.
//
// SIGTERM shuts down: the service gets it and has kStopTimeout, then all goes. With this
// process the kernel ends everything else of the machine (pid_namespaces(7)), and this
// one ends with the keeper's thread that started it (PR_SET_PDEATHSIG).

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "lab/root.h"

namespace terrace::lab {

// As long as the unit of the Debian package has.
constexpr std::chrono::seconds kStopTimeout{90};

struct Boot {
  MachineRoot root;
  std::string network;  // for `ip -batch`, once the cable is in
  std::string service;  // sh -c; empty: none
  // The service is started at boot only when this file is there; empty: not at boot.
  std::string service_condition;
  // Sets what ps(1) shows of this process; may be empty.
  std::function<void(std::string_view)> set_title;
  std::string console;  // the file that the service's output is added to
};

// There once the `setup` of a machine of lab.toml went well; its `run` waits for it.
constexpr const char* kSetupDone = "/var/lib/lab-setup-done";

// One byte each way on the channel (SOCK_SEQPACKET).
constexpr char kSayCable = 'c';    // keeper: the cable is in
constexpr char kSayService = 's';  // keeper: start the service now
constexpr char kSayBuilt = 'b';    // init: the namespaces are there and the root is mounted
constexpr char kSayUp = 'u';       // init: booted
constexpr char kSayFailed = 'f';   // init: then a text in the same record

// The output of a service is cut to nothing beyond this.
constexpr off_t kConsoleBytesMax = 8 << 20;

[[noreturn]] void run_machine(const Boot& boot, int channel);

}  // namespace terrace::lab

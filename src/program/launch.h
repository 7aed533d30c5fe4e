#pragma once

// How an instance of the app is started: its environment, its place to listen, and
// the record that asks the supervisor for it.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "program/records.h"
#include "topology/site.h"

namespace terrace::program {

// The application's PATH where Terrace was started by root.
constexpr const char* kSystemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// Where an instance listens: a port of 127.0.0.1, or with port 0 a Unix socket; a
// job has neither.
struct ListenPlace {
  uint16_t port = 0;
  std::string socket;
};

// A port on which nobody listens, below the range from which the kernel takes the
// ports of outgoing connections (ip_local_port_range, ip(7)). Somebody may take it
// before the instance does: then the instance ends and is started on another.
Result<uint16_t> free_port(Random& random, const std::function<bool(uint16_t)>& is_ours);

// All that the instance finds in its environment but for what depends on its user
// (HOME, USER, LOGNAME, DB_PASSWORD_FILE: the supervisor adds them). PATH is our own as an ordinary
// user and the system's as root; LANG and TZ are ours; then PORT or SOCKET,
// what tells it of its database (database/environment.h), and last the site file's own.
struct EnvironmentOptions {
  bool root = false;
  std::string state_folder;
  std::function<const char*(const char*)> own;  // getenv(3)
};
std::vector<topology::Named> instance_environment(const topology::Site& site, const ListenPlace& place,
                                                  const EnvironmentOptions& options);

// kLimit when a text does not fit into the record.
Result<StartInstance> start_record(const topology::Site& site,
                                   const std::vector<topology::Named>& environment, const ListenPlace& place,
                                   uint32_t slot, uint32_t generation);

// Changes with everything that an instance is started with (app::LifecyclePlan).
uint64_t recipe_of(const topology::Site& site);

}  // namespace terrace::program

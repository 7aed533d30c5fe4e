#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

// What the controller says about the site (control.h), as values, and how
// `terrace status` shows it to a person.

namespace terrace::program {

struct ListenerStatus {
  std::string purpose;  // "web", "admin"
  std::string address;  // as in the site file
  std::string bound;    // empty when it is not
  std::string error;
};

struct InstanceStatus {
  std::string name;
  int64_t generation = 0;
  int64_t pid = 0;  // 0: none at the moment
  std::string state;
  std::string address;
  double uptime_seconds = 0;
  int64_t restarts = 0;
  std::optional<double> retry_seconds;
  std::string last_exit;
  std::vector<std::string> last_output;
  int64_t requests = 0;
  int64_t failures = 0;
  int64_t in_flight = 0;
};

// Of one pool of a load balancer.
struct BackendStatus {
  std::string pool;  // empty: of all that no pool takes
  std::string name;
  std::string state;
  std::string reason;
  double seconds = 0;  // in this state
  int64_t weight = 0;
  bool standby = false;
};

struct TotalsStatus {
  int64_t connections_open = 0;
  int64_t requests = 0;
  int64_t in_flight = 0;
  int64_t queued = 0;
  std::map<std::string, int64_t> statuses;  // "2xx"
  int64_t bytes_sent = 0;
  double duration_seconds = 0;  // summed
};

// Of the embedded database.
struct BackupStatus {
  bool running = false;
  std::string name;  // of the last good one; empty: there is none
  double age_seconds = 0;
  int64_t bytes = 0;
  std::string error;  // why the last attempt failed; empty: it did not
  std::optional<double> next_seconds;
};

struct SiteStatus {
  std::string site;
  std::string path;
  int64_t version = 0;  // of the site file: as `terrace apply` counts them, else since the start
  std::string state;
  int64_t release = 0;    // that serves; 0: none yet
  int64_t deploying = 0;  // the release of the deploy under way; 0: none
  std::string deploy_phase;
  std::string error;      // why the last reload was refused
  std::string app_error;  // why the last change of [app] was not carried out
  std::string program_version;
  int64_t upgrades = 0;
  int64_t supervisor_pid = 0;
  int64_t controller_pid = 0;
  int64_t controller_starts = 0;
  int64_t member_pid = 0;  // 0: none lives, or none is needed
  int64_t member_starts = 0;
  int64_t worker_pid = 0;
  int64_t worker_starts = 0;
  bool worker_connected = false;
  int64_t workers_retiring = 0;  // of before an upgrade
  std::vector<ListenerStatus> listeners;
  std::vector<InstanceStatus> instances;
  std::vector<BackendStatus> backends;
  std::optional<TotalsStatus> totals;
  std::optional<BackupStatus> backup;
  std::string isolation;
  std::string limits;
  std::vector<std::string> stray_writes;  // what the application wrote outside of [app] writable
};

// Nothing when the line is not a good answer. Fields that are absent stay empty.
std::optional<SiteStatus> parse_status(std::string_view answer);

// Whether nothing needs attention; the exit status of `terrace status`.
bool is_fine(const SiteStatus& status);

// For the terminal. `rate` is the requests per second since the last look, if
// there was one.
std::string render_status(const SiteStatus& status, bool colours, std::optional<double> rate = {});

// "45 s", "3 min 20 s", "2 h 5 min", "3 d 4 h".
std::string duration_words(double seconds);

// "512 B", "1.2 kB", "3.4 MB".
std::string bytes_words(int64_t bytes);

}  // namespace terrace::program

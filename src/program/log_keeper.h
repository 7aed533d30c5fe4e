#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "program/log_rotation.h"

namespace terrace::program {

// The thread that rotates the logs, once a second; compressing a file takes longer,
// and nobody waits for it. In the controller, so that there is one.
class LogKeeper {
 public:
  explicit LogKeeper(const Log& log) : log_(log) {}
  // Ends the thread, after the file at which it is.
  ~LogKeeper();

  // The first call starts the thread.
  void set(const std::string& folder, const LogLimits& limits);

 private:
  void run();
  bool wait();

  const Log& log_;
  SystemClock clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  LogLimits limits_;                     // with mutex_
  bool stopping_ = false;                // with mutex_
  std::optional<LogRotation> rotation_;  // of the thread, once it runs
  std::thread thread_;
};

}  // namespace terrace::program

#include "program/log_keeper.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>

namespace terrace::program {
namespace {

constexpr std::chrono::seconds kInterval{1};
constexpr int kNiceness = 10;

}  // namespace

LogKeeper::~LogKeeper() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void LogKeeper::set(const std::string& folder, const LogLimits& limits) {
  {
    const std::lock_guard lock(mutex_);
    limits_ = limits;
  }
  if (thread_.joinable()) return;
  rotation_.emplace(folder, clock_, log_);
  thread_ = std::thread([this] { run(); });
}

// False once the thread shall end.
bool LogKeeper::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kInterval, [this] { return stopping_; });
  rotation_->set_limits(limits_);
  return !stopping_;
}

void LogKeeper::run() {
  // Linux has a niceness per thread: requests come first (setpriority(2), notes).
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNiceness);
  rotation_->remove_unfinished();
  while (wait()) {
    rotation_->rotate();
    rotation_->prune();
    if (rotation_->compress_one()) rotation_->prune();
  }
}

}  // namespace terrace::program

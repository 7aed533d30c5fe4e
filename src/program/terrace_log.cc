#include "program/terrace_log.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>

#include "base/result.h"

namespace terrace::program {

TerraceLog::TerraceLog(const std::string& log_folder, const User* own)
    : folder_(log_folder),
      file_(log_folder + "/terrace.log", LogAppender::Trust::kForeignFolder),
      give_(own != nullptr && ::geteuid() == 0),
      user_(own != nullptr ? own->uid : 0),
      group_(own != nullptr ? own->gid : 0) {}

Result<void> TerraceLog::open() {
  const std::lock_guard lock(mutex_);
  return open_anew();
}

Result<void> TerraceLog::open_anew() {
  if (Result<void> opened = file_.open(); !opened) return opened;
  struct stat folder{};
  const bool shared = ::stat(folder_.c_str(), &folder) == 0 && (folder.st_mode & S_ISGID) != 0;
  if (give_ && ::fchown(file_.get(), user_, shared ? folder.st_gid : group_) != 0)
    return fail_system("fchown");
  // Refused to whoever did not make it, which changes nothing.
  if (shared) (void)!::fchmod(file_.get(), 0660);
  return {};
}

void TerraceLog::write(std::string_view line) {
  const std::lock_guard lock(mutex_);
  if (!file_.is_open() || file_.was_moved()) (void)open_anew();
  if (!file_.is_open()) return;
  std::string text(line);
  if (lost_ > 0) {
    text.insert(0, fmt::format("{} warning terrace: lines of this log were lost lines={}\n",
                               log_time(std::chrono::system_clock::now()), lost_));
  }
  if (file_.append(text) == text.size()) {
    lost_ = 0;
  } else {
    ++lost_;
  }
}

std::unique_ptr<TerraceLog> copy_to_terrace_log(Log& log, const std::string& log_folder, const User* own) {
  auto copy = std::make_unique<TerraceLog>(log_folder, own);
  if (const Result<void> opened = copy->open(); !opened)
    log.warning("cannot open terrace.log", {{"error", describe(opened.error())}});
  log.copy_to(copy.get());
  return copy;
}

}  // namespace terrace::program

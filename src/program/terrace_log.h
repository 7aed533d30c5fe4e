#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "base/log.h"
#include "program/log_appender.h"
#include "program/privileges.h"

namespace terrace::program {

// <log>/terrace.log, which `terrace logs --terrace` reads. Supervisor, controller, worker
// and member each open it and append; each line looks first whether the file was rotated.
// Where the folder hands its group on (site_folders.h), that group may append, too: it is
// the member's. A member that finds no new file yet goes on with the one that was rotated.
class TerraceLog final : public LogCopy {
 public:
  // As root the file is given to `own`, the user of the others.
  TerraceLog(const std::string& log_folder, const User* own);

  Result<void> open();
  void write(std::string_view line) override;

 private:
  Result<void> open_anew();

  std::mutex mutex_;
  std::string folder_;
  LogAppender file_;
  bool give_ = false;
  uid_t user_ = 0;
  gid_t group_ = 0;
  uint64_t lost_ = 0;  // lines that the file did not take and that are not said
};

// From now on `log` also writes there; the caller keeps the result as long as the
// log. Without the file it stays with standard error, and says so.
std::unique_ptr<TerraceLog> copy_to_terrace_log(Log& log, const std::string& log_folder,
                                                const User* own = nullptr);

}  // namespace terrace::program

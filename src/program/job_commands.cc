#include "program/job_commands.h"

#include <algorithm>
#include <array>

namespace terrace::program {
namespace {

struct Named {
  std::string_view name;
  JobCommand run;
};
constexpr std::array kCommands = {
    Named{"job-backup", run_job_backup},
    Named{"job-link", run_job_link},
    Named{"job-late-writes", run_job_late_writes},
    Named{"job-restore-abandon", run_job_restore_abandon},
    Named{"job-restore-prepare", run_job_restore_prepare},
    Named{"job-restore-swap", run_job_restore_swap},
};

}  // namespace

JobCommand find_job_command(std::string_view name) {
  const auto* found = std::ranges::find(kCommands, name, &Named::name);
  return found == kCommands.end() ? nullptr : found->run;
}

}  // namespace terrace::program

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
    Named{"job-link", run_job_link},
};

}  // namespace

JobCommand find_job_command(std::string_view name) {
  const auto* found = std::ranges::find(kCommands, name, &Named::name);
  return found == kCommands.end() ? nullptr : found->run;
}

}  // namespace terrace::program

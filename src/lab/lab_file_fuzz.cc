#include <cstdint>
#include <string>

#include "base/assert.h"
#include "lab/lab_file.h"
#include "lab/plan.h"

// Any text is a lab.toml or is told why not, and whatever it plans fits its site.

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace terrace;
  const lab::LoadedLabFile loaded =
      lab::load_lab_text(std::string(reinterpret_cast<const char*>(data), size), "lab.toml");
  ASSERT((loaded.file == nullptr) == (loaded.text.find("error[E") != std::string::npos));
  if (!loaded.file) return 0;
  topology::Site site;
  site.servers = {{.name = "web1", .address = "10.0.0.11", .roles = {topology::Role::kWeb}}};
  const auto plan = lab::make_plan(site, *loaded.file);
  if (!plan) return 0;
  ASSERT(plan->machines.size() == loaded.file->machines.size() + 3);
  for (const lab::PlannedMachine& machine : plan->machines)
    ASSERT(!lab::machine_commands(*plan, machine).empty());
  return 0;
}

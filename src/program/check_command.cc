#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "program/commands.h"
#include "program/machine.h"
#include "program/output.h"
#include "program/releases.h"
#include "program/secrets.h"
#include "program/site_path.h"
#include "topology/load.h"

namespace terrace::program {
namespace {

using topology::LoadedSite;

// What the machine has for us, and what follows from it and the file.
std::vector<topology::Named> derived_of(const topology::Site& site) {
  const MachineView view = look_at_machine();
  std::vector<topology::Named> shown = topology::derive(site, view.machine).shown;
  shown.insert(shown.begin(), {{"cores", view.cores_text},
                               {"memory", view.memory_text},
                               {"worker threads", fmt::format("{}, one per core", view.machine.cores)}});
  return shown;
}

void show_derived(const std::vector<topology::Named>& derived) {
  size_t width = 0;
  for (const topology::Named& named : derived) width = std::max(width, named.name.size());
  for (const topology::Named& named : derived)
    print(fmt::format("  {:<{}}  {}\n", named.name, width, named.value));
}

void show_json(const LoadedSite& loaded) {
  auto json = nlohmann::ordered_json::parse(loaded.json, nullptr, false);
  json["ok"] = loaded.site != nullptr;
  if (loaded.site) {
    auto shown = nlohmann::ordered_json::object();
    for (const topology::Named& named : derived_of(*loaded.site)) shown[named.name] = named.value;
    json["derived"] = shown;
  }
  print(json.dump() + "\n");
}

int status_of(const LoadedSite& loaded) {
  if (loaded.unreadable) return kExitCannotRead;
  return loaded.site ? kExitFine : kExitFailure;
}

}  // namespace

int run_check(const CommandLine& line) {
  const std::optional<std::string> site = find_site(line.file);
  if (!site) return complain(no_site_text(line.file), line.json, kExitCannotRead);
  const std::string path = shown_site(line.file, *site);
  topology::LoadOptions options;
  options.inputs = inputs_with_files(secrets_folder(find_folders(*site)));
  count_from_release(options, *site, find_folders(*site).state);
  const LoadedSite loaded = topology::load_site(path, options);
  if (line.json) {
    show_json(loaded);
    return status_of(loaded);
  }
  print(loaded.text);
  if (loaded.site) {
    print(fmt::format("{} is fine; it gives\n", path));
    show_derived(derived_of(*loaded.site));
  }
  return status_of(loaded);
}

}  // namespace terrace::program

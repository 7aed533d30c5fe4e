// The instances across an upgrade of the supervisor (handover.h).

#include <algorithm>
#include <utility>

#include "program/instances.h"

namespace terrace::program {
namespace {

// "shop" of ".../terrace/shop.100/app-1.7".
std::string site_of_group(const std::string& folder) {
  const std::string parent = folder.substr(0, folder.rfind('/'));
  const std::string name = parent.substr(parent.rfind('/') + 1);
  return name.substr(0, name.rfind('.'));
}

}  // namespace

std::vector<Handover::Instance> Instances::hand_over() const {
  std::vector<Handover::Instance> all;
  for (const auto& each : running_) {
    all.push_back({.record = each->record,
                   .output = each->started.output.get(),
                   .reports = each->started.reports.get(),
                   .grace_ms = static_cast<uint32_t>(each->grace.count()),
                   .groups = each->group.folders(),
                   .ended = each->ended});
  }
  return all;
}

std::vector<std::string> Instances::left_groups() const {
  std::vector<std::string> folders;
  for (const Cgroup& group : left_groups_)
    folders.insert(folders.end(), group.folders().begin(), group.folders().end());
  return folders;
}

void Instances::adopt(const Handover& handover) {
  for (const Handover::Instance& each : handover.instances) {
    auto running = std::make_unique<Running>();
    running->record = each.record;
    running->started.pid = each.record.pid;
    running->started.output = Descriptor(each.output);
    running->started.reports = Descriptor(each.reports);
    running->group = Cgroup(each.groups);
    running->grace = std::chrono::milliseconds(each.grace_ms);
    running->ended = each.ended;
    // So that the parents of the groups are removed at the end though nothing is started.
    if (!cgroups_ && !each.groups.empty()) cgroups_ = Cgroups::find(site_of_group(each.groups.front()));
    running_.push_back(std::move(running));
  }
  if (!handover.left_groups.empty()) left_groups_.emplace_back(handover.left_groups);
}

bool Instances::has_jobs() const {
  return std::ranges::any_of(running_,
                             [](const auto& each) { return each->record.slot >= kSlotsMax && !each->ended; });
}

}  // namespace terrace::program

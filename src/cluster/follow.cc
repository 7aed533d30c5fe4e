#include "cluster/follow.h"

#include <algorithm>

namespace terrace::cluster {
namespace {

FollowStep step_of_release(const Wanted& wanted, const Here& here) {
  if (!wanted.has_release || here.release == wanted.release) return FollowStep::kNothing;
  if (wanted.trial && here.release == *wanted.trial) return FollowStep::kNothing;
  const bool there = wanted.release == 0 || std::ranges::find(here.ready, wanted.release) != here.ready.end();
  return there ? FollowStep::kSwitchRelease : FollowStep::kFetchRelease;
}

}  // namespace

FollowStep next_step(const Wanted& wanted, const Here& here) {
  const bool drained = wanted.drained || !wanted.of_site;
  // First of all, as it is wanted now; last of all, when the rest is as it shall be.
  if (drained && !here.drained) return FollowStep::kDrain;
  if (here.busy) return FollowStep::kNothing;
  // What the file says is no matter of a server that it does not name.
  if (!wanted.of_site) return FollowStep::kNothing;
  if (wanted.version != 0 && here.version != wanted.version) return FollowStep::kTakeSite;
  const FollowStep step = step_of_release(wanted, here);
  if (step != FollowStep::kNothing) return step;
  return here.drained && !drained ? FollowStep::kUndrain : FollowStep::kNothing;
}

void DeployPulse::see(Version version, Time now) {
  if (version != version_) since_ = now;
  version_ = version;
}

}  // namespace terrace::cluster
